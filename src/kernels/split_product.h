// a + x*w of int32 lanes on x86 in two products of 16 bits each, half the work of one of 32: x in [-255, 255] meets the
// low 7 bits of w, 128 x the rest. |w| < 2^22; split_weights cuts it once for many rows, product_word makes x fit,
// add_products adds (vec_avx2.h, vec_avx512.h).
#pragma once

#include <cstdint>

namespace fathom::kernels {
namespace {

inline std::int32_t product_word(std::int32_t x) {
  return (x & 0xFFFF) | static_cast<std::int32_t>(static_cast<std::uint32_t>(x) << 23);
}

}  // namespace
}  // namespace fathom::kernels
