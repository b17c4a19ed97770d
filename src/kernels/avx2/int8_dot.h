// int8 products: pairs in 16 bits, fours in 32. Exact while activations are at most 127: pairs then stay below 2^15.
// Activations are unsigned, weights signed.
#pragma once

#include "kernels/avx2/vec_avx2.h"

namespace fathom::kernels {
namespace {

constexpr int kInt8Rows = 5;  // products and the constant take two more registers than fp32 needs
constexpr bool kInt8Expects = true;
constexpr int kInt8Shift = 0;

inline Vec shifted(Vec a) { return a; }
inline Vec dot4(Vec sum, Vec a, Vec w) {
  const __m256i pairs = _mm256_maddubs_epi16(_mm256_castps_si256(a), _mm256_castps_si256(w));
  const __m256i fours = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
  __asm__("vpaddd %1, %0, %0" : "+x"(sum) : "x"(fours));  // sums stay where they are, as in accumulate
  return sum;
}

}  // namespace
}  // namespace fathom::kernels
