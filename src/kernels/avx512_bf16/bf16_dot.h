// bf16 products by AVX512_BF16: one instruction for a pair. It rounds after each of the two products of a lane and
// takes denormals for 0.
#pragma once

#include "kernels/avx512/vec_avx512.h"

namespace fathom::kernels {
namespace {

constexpr int kBf16Spread = 1;

inline void put_bf16(float* to, Vec rounded) { store_high_halves(to, rounded); }
inline Vec widen_bf16(Vec pairs, int) { return pairs; }
inline Vec dot2(Vec sum, Vec a, Vec w) {
  return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(w));
}

}  // namespace
}  // namespace fathom::kernels
