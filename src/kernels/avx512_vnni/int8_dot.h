// int8 products by AVX512_VNNI: one exact instruction for four. Activations are unsigned, weights signed.
#pragma once

#include "kernels/avx512/vec_avx512.h"

namespace fathom::kernels {
namespace {

constexpr int kInt8Rows = kTileRows;
constexpr bool kInt8Expects = false;
constexpr int kInt8Shift = 0;

inline Vec shifted(Vec a) { return a; }
inline Vec dot4(Vec sum, Vec a, Vec w) {
  return _mm512_castsi512_ps(
      _mm512_dpbusd_epi32(_mm512_castps_si512(sum), _mm512_castps_si512(a), _mm512_castps_si512(w)));
}

}  // namespace
}  // namespace fathom::kernels
