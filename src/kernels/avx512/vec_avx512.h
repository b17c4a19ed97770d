// Sixteen floats in one AVX-512 register, with the few operations that elementwise kernels, attention and GEMM are
// written in. Everything has internal linkage: no AVX code can reach the linker's shared symbols.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/split_product.h"

namespace fathom::kernels {
namespace {

using Vec = __m512;
constexpr std::size_t kWidth = 16;
constexpr int kTileRows = 12;      // 12 rows * 2 vectors of sums; 13 and 14 fit as well but measured slower
constexpr int kAttentionRows = 8;  // 8 rows * 3 vectors of sums
constexpr int kScoreVectors = 3;
constexpr std::size_t kSpareKeys = 4;

inline __mmask16 first(std::size_t count) { return static_cast<__mmask16>((1u << count) - 1u); }

inline Vec zero() { return _mm512_setzero_ps(); }
inline Vec set1(float x) { return _mm512_set1_ps(x); }
inline Vec broadcast(const void* p) {  // 32 bits of any type to every lane
  float word;
  __builtin_memcpy(&word, p, sizeof word);
  return set1(word);
}
inline Vec load(const void* p) { return _mm512_loadu_ps(p); }
inline void store(float* p, Vec v) { _mm512_storeu_ps(p, v); }
inline Vec load_first(const void* p, std::size_t count) { return _mm512_maskz_loadu_ps(first(count), p); }
inline void store_first(float* p, std::size_t count, Vec v) { _mm512_mask_storeu_ps(p, first(count), v); }

inline Vec add(Vec a, Vec b) { return _mm512_add_ps(a, b); }
inline Vec sub(Vec a, Vec b) { return _mm512_sub_ps(a, b); }
inline Vec mul(Vec a, Vec b) { return _mm512_mul_ps(a, b); }
inline Vec div(Vec a, Vec b) { return _mm512_div_ps(a, b); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }    // a*b + c
inline Vec fnma(Vec a, Vec b, Vec c) { return _mm512_fnmadd_ps(a, b, c); }  // c - a*b
// sum + a*b in the register that holds sum; left to itself g++ 12 moves sums about between registers.
inline Vec accumulate(Vec sum, Vec a, Vec b) {
  __asm__("vfmadd231ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
  return sum;
}
inline Vec max(Vec a, Vec b) { return _mm512_max_ps(a, b); }  // b where either is NaN
inline Vec min(Vec a, Vec b) { return _mm512_min_ps(a, b); }  // b where either is NaN
inline Vec abs(Vec a) { return _mm512_abs_ps(a); }
inline Vec round(Vec a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
inline Vec scale2(Vec a, Vec n) { return _mm512_scalef_ps(a, n); }  // a * 2^n, n whole
inline Vec if_less(Vec a, Vec b, Vec yes, Vec no) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), no, yes);
}
inline Vec with_sign(Vec magnitude, Vec sign) {
  const __m512i bit = _mm512_set1_epi32(INT32_MIN);
  return _mm512_castsi512_ps(
      _mm512_ternarylogic_epi32(bit, _mm512_castps_si512(sign), _mm512_castps_si512(magnitude), 0xCA));
}
constexpr bool kLooksUp = true;
inline Vec look_up(const float (&table)[16], Vec index) {  // table[low 4 bits of each lane]
  return _mm512_permutexvar_ps(_mm512_castps_si512(index), _mm512_load_ps(table));
}
inline void transpose(Vec (&rows)[16]) {
  Vec t[16];
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_ps(rows[i], rows[i + 1]);
    t[i + 1] = _mm512_unpackhi_ps(rows[i], rows[i + 1]);
  }
  const auto halves = [](Vec a, Vec b, bool high) {  // 64 bits of each 128 of a, then of b
    const __m512d x = _mm512_castps_pd(a), y = _mm512_castps_pd(b);
    return _mm512_castpd_ps(high ? _mm512_unpackhi_pd(x, y) : _mm512_unpacklo_pd(x, y));
  };
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {  // 128-bit lane l of rows[i + c]: column 4 l + c of four rows
    rows[i] = halves(t[i], t[i + 2], false);
    rows[i + 1] = halves(t[i], t[i + 2], true);
    rows[i + 2] = halves(t[i + 1], t[i + 3], false);
    rows[i + 3] = halves(t[i + 1], t[i + 3], true);
  }
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    const Vec even0 = _mm512_shuffle_f32x4(rows[c], rows[4 + c], 0x88),
              odd0 = _mm512_shuffle_f32x4(rows[c], rows[4 + c], 0xDD);
    const Vec even1 = _mm512_shuffle_f32x4(rows[8 + c], rows[12 + c], 0x88),
              odd1 = _mm512_shuffle_f32x4(rows[8 + c], rows[12 + c], 0xDD);
    rows[c] = _mm512_shuffle_f32x4(even0, even1, 0x88);
    rows[4 + c] = _mm512_shuffle_f32x4(odd0, odd1, 0x88);
    rows[8 + c] = _mm512_shuffle_f32x4(even0, even1, 0xDD);
    rows[12 + c] = _mm512_shuffle_f32x4(odd0, odd1, 0xDD);
  }
}
// Lane r: `op` over all lanes of v[r], R <= 8 of them at once: half the shuffles of one after the other. Pairs of lanes
// as in sum().
constexpr bool kFoldsRows = true;
template <int R, class Op>
inline Vec fold_rows(const Vec (&v)[R], const Op& op) {
  const auto row = [&](int r) { return v[r < R ? r : 0]; };
  Vec halves[4], quarters[2];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i)
    halves[i] = op(_mm512_shuffle_f32x4(row(2 * i), row(2 * i + 1), 0x44),
                   _mm512_shuffle_f32x4(row(2 * i), row(2 * i + 1), 0xEE));
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i)  // 128 bits of each of four rows
    quarters[i] = op(_mm512_shuffle_f32x4(halves[2 * i], halves[2 * i + 1], 0x88),
                     _mm512_shuffle_f32x4(halves[2 * i], halves[2 * i + 1], 0xDD));
  const __m512d low = _mm512_castps_pd(quarters[0]), high = _mm512_castps_pd(quarters[1]);
  const Vec pairs =
      op(_mm512_castpd_ps(_mm512_unpacklo_pd(low, high)), _mm512_castpd_ps(_mm512_unpackhi_pd(low, high)));
  const Vec all = op(pairs, _mm512_permute_ps(pairs, 0xB1));  // 128 bits: row l twice, row 4 + l twice
  return _mm512_permutexvar_ps(_mm512_setr_epi32(0, 4, 8, 12, 2, 6, 10, 14, 0, 0, 0, 0, 0, 0, 0, 0), all);
}
inline float sum(Vec a) {
  const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
  __m128 q = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
  q = _mm_add_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}
inline float largest(Vec a) {
  const __m256 half = _mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
  __m128 q = _mm_max_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
  q = _mm_max_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_max_ss(q, _mm_movehdup_ps(q)));
}
inline float smallest(Vec a) { return -largest(sub(zero(), a)); }
inline std::int32_t nearest(float x) { return _mm_cvtss_si32(_mm_set_ss(x)); }  // ties to even
inline float inverse_sqrt(float x) { return 1.0f / _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x))); }

// Lanes that are not floats: int32 sums, pairs of bf16. They travel as Vec, bit for bit.
inline Vec int_to_float(Vec a) { return _mm512_cvtepi32_ps(_mm512_castps_si512(a)); }
inline Vec split_weights(Vec w) {
  const __m512i whole = _mm512_castps_si512(w), low = _mm512_and_epi32(whole, _mm512_set1_epi32(127));
  return _mm512_castsi512_ps(_mm512_or_epi32(low, _mm512_slli_epi32(_mm512_srai_epi32(whole, 7), 16)));
}
inline Vec add_products(Vec a, Vec split, std::int32_t word) {
#if defined(__AVX512VNNI__)
  return _mm512_castsi512_ps(
      _mm512_dpwssd_epi32(_mm512_castps_si512(a), _mm512_set1_epi32(word), _mm512_castps_si512(split)));
#else
  return _mm512_castsi512_ps(
      _mm512_add_epi32(_mm512_castps_si512(a), _mm512_madd_epi16(_mm512_set1_epi32(word), _mm512_castps_si512(split))));
#endif
}
inline Vec low_bf16(Vec pairs) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(pairs), 16)); }
inline Vec high_bf16(Vec pairs) {
  return _mm512_castsi512_ps(_mm512_and_epi32(_mm512_castps_si512(pairs), _mm512_set1_epi32(INT32_MIN >> 15)));
}
inline Vec round_bf16(Vec a) {  // to nearest even, as floats; NaN stays NaN
  const __m512i bits = _mm512_castps_si512(a),
                odd = _mm512_and_epi32(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i up = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF)));
  const __m512i quiet = _mm512_or_epi32(bits, _mm512_set1_epi32(0x400000));
  return high_bf16(_mm512_castsi512_ps(_mm512_mask_blend_epi32(_mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), up, quiet)));
}
inline void store_high_halves(void* p, Vec a) {  // 16 bits of each lane, side by side
  _mm256_storeu_si256(static_cast<__m256i*>(p), _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_castps_si512(a), 16)));
}
class ToBytes {  // rounds to nearest even, adds `shift`, keeps within [0, top]; what is no number becomes 0
 public:
  ToBytes(std::int32_t shift, std::int32_t top)
      : shift_(_mm512_set1_epi32(shift)),
        top_(_mm512_set1_epi32(top)),
        shift16_(_mm512_set1_epi16(static_cast<short>(shift))),
        top8_(_mm512_set1_epi8(static_cast<char>(top))) {}
  void put(std::uint8_t* p, Vec v) const {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(whole(v)));
  }
  void put_first(std::uint8_t* p, std::size_t count, Vec v) const {
    _mm512_mask_cvtepi32_storeu_epi8(p, first(count), whole(v));
  }
  void put_four(std::uint8_t* p, Vec a, Vec b, Vec c,
                Vec d) const {  // the same bytes by half the instructions: saturation is clamping
    const auto pairs = [&](Vec x, Vec y) {
      return _mm512_adds_epi16(_mm512_packs_epi32(_mm512_cvtps_epi32(x), _mm512_cvtps_epi32(y)), shift16_);
    };
    const __m512i bytes = _mm512_min_epu8(_mm512_packus_epi16(pairs(a, b), pairs(c, d)),
                                          top8_);  // four of a, of b, of c, of d in each 128 bits
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    _mm512_storeu_si512(p, _mm512_permutexvar_epi32(order, bytes));
  }

 private:
  __m512i whole(Vec v) const {
    const __m512i shifted = _mm512_add_epi32(_mm512_cvtps_epi32(v), shift_);
    return _mm512_min_epi32(_mm512_max_epi32(shifted, _mm512_setzero_si512()), top_);
  }
  __m512i shift_, top_, shift16_, top8_;
};

}  // namespace
}  // namespace fathom::kernels
