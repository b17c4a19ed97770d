// int8 products without VNNI: pairs in 16 bits, fours in 32. Exact while activations are at most 127: pairs then stay
// below 2^15. Activations are unsigned, weights signed.
#pragma once

#include "kernels/avx512/vec_avx512.h"

namespace fathom::kernels {
namespace {

constexpr int kInt8Rows = kTileRows;
constexpr bool kInt8Expects = true;
constexpr int kInt8Shift = 0;

inline Vec shifted(Vec a) { return a; }
inline Vec dot4(Vec sum, Vec a, Vec w) {
  const __m512i pairs = _mm512_maddubs_epi16(_mm512_castps_si512(a), _mm512_castps_si512(w));
  const __m512i fours = _mm512_madd_epi16(pairs, _mm512_set1_epi16(1));
  __asm__("vpaddd %1, %0, %0" : "+v"(sum) : "v"(fours));  // sums stay where they are, as in accumulate
  return sum;
}

}  // namespace
}  // namespace fathom::kernels
