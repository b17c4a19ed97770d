// Eight floats in one AVX2 register, with the few operations that elementwise kernels, attention and GEMM are
// written in. Everything has internal linkage: no AVX code can reach the linker's shared symbols.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/split_product.h"

namespace fathom::kernels {
namespace {

using Vec = __m256;
constexpr std::size_t kWidth = 8;
constexpr int kTileRows = 6;       // 6 rows * 2 vectors of sums + 2 of weights + 1 of activations <= 16 registers
constexpr int kAttentionRows = 4;  // 4 rows * 2 vectors of sums
constexpr int kScoreVectors = 2;
constexpr std::size_t kSpareKeys = 0;
constexpr bool kFoldsRows = false;

inline __m256i first(std::size_t count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

inline Vec zero() { return _mm256_setzero_ps(); }
inline Vec set1(float x) { return _mm256_set1_ps(x); }
inline Vec broadcast(const void* p) {  // 32 bits of any type to every lane
  float word;
  __builtin_memcpy(&word, p, sizeof word);
  return set1(word);
}
inline Vec load(const void* p) { return _mm256_loadu_ps(static_cast<const float*>(p)); }
inline void store(float* p, Vec v) { _mm256_storeu_ps(p, v); }
inline Vec load_first(const void* p, std::size_t count) {
  return _mm256_maskload_ps(static_cast<const float*>(p), first(count));
}
inline void store_first(float* p, std::size_t count, Vec v) { _mm256_maskstore_ps(p, first(count), v); }

inline Vec add(Vec a, Vec b) { return _mm256_add_ps(a, b); }
inline Vec sub(Vec a, Vec b) { return _mm256_sub_ps(a, b); }
inline Vec mul(Vec a, Vec b) { return _mm256_mul_ps(a, b); }
inline Vec div(Vec a, Vec b) { return _mm256_div_ps(a, b); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }    // a*b + c
inline Vec fnma(Vec a, Vec b, Vec c) { return _mm256_fnmadd_ps(a, b, c); }  // c - a*b
// sum + a*b in the register that holds sum; left to itself g++ 12 moves sums about between registers.
inline Vec accumulate(Vec sum, Vec a, Vec b) {
  __asm__("vfmadd231ps %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b));
  return sum;
}
inline Vec max(Vec a, Vec b) { return _mm256_max_ps(a, b); }  // b where either is NaN
inline Vec min(Vec a, Vec b) { return _mm256_min_ps(a, b); }  // b where either is NaN
inline Vec abs(Vec a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
inline Vec round(Vec a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
inline Vec scale2(Vec a, Vec n) {  // a * 2^n, n whole, -126 <= n <= 127
  const __m256i biased = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_mul_ps(a, _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23)));
}
inline Vec if_less(Vec a, Vec b, Vec yes, Vec no) { return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_LT_OQ)); }
inline Vec with_sign(Vec magnitude, Vec sign) {
  const __m256 bit = _mm256_set1_ps(-0.0f);
  return _mm256_or_ps(_mm256_and_ps(bit, sign), _mm256_andnot_ps(bit, magnitude));
}
constexpr bool kLooksUp = false;  // 8 lanes are too few for math.inc's tables
inline void transpose(Vec (&rows)[8]) {
  Vec t[8];
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_ps(rows[i], rows[i + 1]);
    t[i + 1] = _mm256_unpackhi_ps(rows[i], rows[i + 1]);
  }
  const auto halves = [](Vec a, Vec b, bool high) {  // 64 bits of each 128 of a, then of b
    const __m256d x = _mm256_castps_pd(a), y = _mm256_castps_pd(b);
    return _mm256_castpd_ps(high ? _mm256_unpackhi_pd(x, y) : _mm256_unpacklo_pd(x, y));
  };
  for (int i = 0; i < 8; i += 4) {  // 128-bit lane l of rows[i + c]: column 4 l + c of four rows
    rows[i] = halves(t[i], t[i + 2], false);
    rows[i + 1] = halves(t[i], t[i + 2], true);
    rows[i + 2] = halves(t[i + 1], t[i + 3], false);
    rows[i + 3] = halves(t[i + 1], t[i + 3], true);
  }
  for (int c = 0; c < 4; ++c) {
    const Vec low = rows[c], high = rows[4 + c];
    rows[c] = _mm256_permute2f128_ps(low, high, 0x20);
    rows[4 + c] = _mm256_permute2f128_ps(low, high, 0x31);
  }
}
inline float sum(Vec a) {
  __m128 q = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  q = _mm_add_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}
inline float largest(Vec a) {
  __m128 q = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  q = _mm_max_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_max_ss(q, _mm_movehdup_ps(q)));
}
inline float smallest(Vec a) { return -largest(sub(zero(), a)); }
inline std::int32_t nearest(float x) { return _mm_cvtss_si32(_mm_set_ss(x)); }  // ties to even
inline float inverse_sqrt(float x) { return 1.0f / _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x))); }

// Lanes that are not floats: int32 sums, pairs of bf16. They travel as Vec, bit for bit.
inline Vec int_to_float(Vec a) { return _mm256_cvtepi32_ps(_mm256_castps_si256(a)); }
inline Vec split_weights(Vec w) {
  const __m256i whole = _mm256_castps_si256(w), low = _mm256_and_si256(whole, _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_or_si256(low, _mm256_slli_epi32(_mm256_srai_epi32(whole, 7), 16)));
}
inline Vec add_products(Vec a, Vec split, std::int32_t word) {
  return _mm256_castsi256_ps(
      _mm256_add_epi32(_mm256_castps_si256(a), _mm256_madd_epi16(_mm256_set1_epi32(word), _mm256_castps_si256(split))));
}
inline Vec low_bf16(Vec pairs) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(pairs), 16)); }
inline Vec high_bf16(Vec pairs) {
  return _mm256_and_ps(pairs, _mm256_castsi256_ps(_mm256_set1_epi32(INT32_MIN >> 15)));
}
inline Vec round_bf16(Vec a) {  // to nearest even, as floats; NaN stays NaN
  const __m256i bits = _mm256_castps_si256(a),
                odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i up = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF)));
  const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  const Vec nan = _mm256_cmp_ps(a, a, _CMP_UNORD_Q);
  return high_bf16(_mm256_blendv_ps(_mm256_castsi256_ps(up), _mm256_castsi256_ps(quiet), nan));
}
class ToBytes {  // rounds to nearest even, adds `shift`, keeps within [0, top]; what is no number becomes 0
 public:
  ToBytes(std::int32_t shift, std::int32_t top)
      : shift_(_mm256_set1_epi32(shift)),
        top_(_mm256_set1_epi32(top)),
        shift16_(_mm256_set1_epi16(static_cast<short>(shift))),
        top8_(_mm256_set1_epi8(static_cast<char>(top))) {}
  void put(std::uint8_t* p, Vec v) const {
    const __m256i shifted = _mm256_add_epi32(_mm256_cvtps_epi32(v), shift_);
    const __m256i whole = _mm256_min_epi32(_mm256_max_epi32(shifted, _mm256_setzero_si256()), top_);
    const __m128i halves = _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packus_epi16(halves, halves));
  }
  void put_first(std::uint8_t* p, std::size_t count, Vec v) const {
    std::uint8_t bytes[kWidth];
    put(bytes, v);
    for (std::size_t i = 0; i < count; ++i) p[i] = bytes[i];
  }
  void put_four(std::uint8_t* p, Vec a, Vec b, Vec c,
                Vec d) const {  // the same bytes by half the instructions: saturation is clamping
    const auto pairs = [&](Vec x, Vec y) {
      return _mm256_adds_epi16(_mm256_packs_epi32(_mm256_cvtps_epi32(x), _mm256_cvtps_epi32(y)), shift16_);
    };
    const __m256i bytes = _mm256_min_epu8(_mm256_packus_epi16(pairs(a, b), pairs(c, d)),
                                          top8_);  // four of a, of b, of c, of d in each 128 bits
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                        _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)));
  }

 private:
  __m256i shift_, top_, shift16_, top8_;
};

}  // namespace
}  // namespace fathom::kernels
