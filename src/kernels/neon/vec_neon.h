// Eight floats in two NEON registers (32 there are, of four floats), with the few operations that elementwise kernels,
// attention and GEMM are written in. Everything has internal linkage, as in the other tiers.
#pragma once

#include <arm_neon.h>

#include <cstddef>
#include <cstdint>

namespace fathom::kernels {
namespace {

struct Vec {
  float32x4_t low, high;
};
constexpr std::size_t kWidth = 8;
constexpr int kTileRows = 6;       // 6 rows * 4 registers of sums + 4 of weights + 1 of activations <= 32
constexpr int kAttentionRows = 4;  // 4 rows * 4 registers of sums
constexpr int kScoreVectors = 2;
constexpr std::size_t kSpareKeys = 0;
constexpr bool kFoldsRows = false;

inline Vec set1(float x) { return {vdupq_n_f32(x), vdupq_n_f32(x)}; }
inline Vec zero() { return set1(0.0f); }
inline Vec broadcast(const void* p) {  // 32 bits of any type to every lane
  float word;
  __builtin_memcpy(&word, p, sizeof word);
  return set1(word);
}
inline float32x4_t load4(const std::uint8_t* p) { return vreinterpretq_f32_u8(vld1q_u8(p)); }
inline float32x4_t load4_first(const std::uint8_t* p, std::size_t count) {  // zeros behind `count`, which are not read
  if (count >= 4) return load4(p);
  float words[3] = {};
  __builtin_memcpy(&words[0], p, count > 0 ? 4 : 0);
  __builtin_memcpy(&words[1], p + 4, count > 1 ? 4 : 0);
  __builtin_memcpy(&words[2], p + 8, count > 2 ? 4 : 0);
  return float32x4_t{words[0], words[1], words[2], 0.0f};
}
inline void store4_first(float* p, std::size_t count, float32x4_t v) {
  if (count >= 4) return vst1q_f32(p, v);
  if (count > 0) vst1q_lane_f32(p, v, 0);
  if (count > 1) vst1q_lane_f32(p + 1, v, 1);
  if (count > 2) vst1q_lane_f32(p + 2, v, 2);
}
inline Vec load(const void* p) {
  const auto* bytes = static_cast<const std::uint8_t*>(p);
  return {load4(bytes), load4(bytes + 16)};
}
inline void store(float* p, Vec v) {
  vst1q_f32(p, v.low);
  vst1q_f32(p + 4, v.high);
}
inline Vec load_first(const void* p, std::size_t count) {
  const auto* bytes = static_cast<const std::uint8_t*>(p);
  if (count <= 4) return {load4_first(bytes, count), vdupq_n_f32(0.0f)};
  return {load4(bytes), load4_first(bytes + 16, count - 4)};
}
inline void store_first(float* p, std::size_t count, Vec v) {
  store4_first(p, count, v.low);
  if (count > 4) store4_first(p + 4, count - 4, v.high);
}

inline Vec add(Vec a, Vec b) { return {vaddq_f32(a.low, b.low), vaddq_f32(a.high, b.high)}; }
inline Vec sub(Vec a, Vec b) { return {vsubq_f32(a.low, b.low), vsubq_f32(a.high, b.high)}; }
inline Vec mul(Vec a, Vec b) { return {vmulq_f32(a.low, b.low), vmulq_f32(a.high, b.high)}; }
inline Vec div(Vec a, Vec b) { return {vdivq_f32(a.low, b.low), vdivq_f32(a.high, b.high)}; }
inline Vec fma(Vec a, Vec b, Vec c) {  // a*b + c
  return {vfmaq_f32(c.low, a.low, b.low), vfmaq_f32(c.high, a.high, b.high)};
}
inline Vec fnma(Vec a, Vec b, Vec c) {  // c - a*b
  return {vfmsq_f32(c.low, a.low, b.low), vfmsq_f32(c.high, a.high, b.high)};
}
inline Vec accumulate(Vec sum, Vec a, Vec b) { return fma(a, b, sum); }

// A comparison with NaN is false.
inline float32x4_t max4(float32x4_t a, float32x4_t b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
inline float32x4_t min4(float32x4_t a, float32x4_t b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
inline Vec max(Vec a, Vec b) { return {max4(a.low, b.low), max4(a.high, b.high)}; }  // b where either is NaN
inline Vec min(Vec a, Vec b) { return {min4(a.low, b.low), min4(a.high, b.high)}; }  // b where either is NaN
inline Vec abs(Vec a) { return {vabsq_f32(a.low), vabsq_f32(a.high)}; }
inline Vec round(Vec a) { return {vrndnq_f32(a.low), vrndnq_f32(a.high)}; }
inline float32x4_t power_of_two(float32x4_t n) {
  return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)), 23));
}
inline Vec scale2(Vec a, Vec n) {  // a * 2^n, n whole, -126 <= n <= 127
  return {vmulq_f32(a.low, power_of_two(n.low)), vmulq_f32(a.high, power_of_two(n.high))};
}
inline Vec if_less(Vec a, Vec b, Vec yes, Vec no) {
  return {vbslq_f32(vcltq_f32(a.low, b.low), yes.low, no.low), vbslq_f32(vcltq_f32(a.high, b.high), yes.high, no.high)};
}
inline Vec with_sign(Vec magnitude, Vec sign) {
  const uint32x4_t bit = vdupq_n_u32(0x80000000u);
  return {vbslq_f32(bit, sign.low, magnitude.low), vbslq_f32(bit, sign.high, magnitude.high)};
}
inline void transpose4(float32x4_t (&rows)[4]) {
  const auto even = [](float32x4_t a, float32x4_t b) { return vreinterpretq_f64_f32(vtrn1q_f32(a, b)); };
  const auto odd = [](float32x4_t a, float32x4_t b) { return vreinterpretq_f64_f32(vtrn2q_f32(a, b)); };
  const float64x2_t even0 = even(rows[0], rows[1]), even1 = even(rows[2], rows[3]), odd0 = odd(rows[0], rows[1]),
                    odd1 = odd(rows[2], rows[3]);
  rows[0] = vreinterpretq_f32_f64(vtrn1q_f64(even0, even1));
  rows[1] = vreinterpretq_f32_f64(vtrn1q_f64(odd0, odd1));
  rows[2] = vreinterpretq_f32_f64(vtrn2q_f64(even0, even1));
  rows[3] = vreinterpretq_f32_f64(vtrn2q_f64(odd0, odd1));
}
constexpr bool kLooksUp = false;
inline void transpose(Vec (&rows)[8]) {
  for (int i = 0; i < 8; i += 4) {  // four rows; then quarters change places
    float32x4_t low[4] = {rows[i].low, rows[i + 1].low, rows[i + 2].low, rows[i + 3].low};
    float32x4_t high[4] = {rows[i].high, rows[i + 1].high, rows[i + 2].high, rows[i + 3].high};
    transpose4(low);
    transpose4(high);
    for (int c = 0; c < 4; ++c) rows[i + c] = {low[c], high[c]};
  }
  for (int c = 0; c < 4; ++c) {
    const float32x4_t kept = rows[c].high;
    rows[c].high = rows[4 + c].low;
    rows[4 + c].low = kept;
  }
}
inline float sum(Vec a) {
  const float32x4_t q = vaddq_f32(a.low, a.high);
  return vpadds_f32(vadd_f32(vget_low_f32(q), vget_high_f32(q)));
}
inline float largest(Vec a) { return vmaxvq_f32(vmaxq_f32(a.low, a.high)); }
inline float smallest(Vec a) { return vminvq_f32(vminq_f32(a.low, a.high)); }
inline std::int32_t nearest(float x) { return vcvtns_s32_f32(x); }  // ties to even
inline float inverse_sqrt(float x) { return 1.0f / vget_lane_f32(vsqrt_f32(vdup_n_f32(x)), 0); }

// Lanes that are not floats: int32 sums, bytes, pairs of bf16. They travel as Vec, bit for bit.
inline int32x4_t whole(float32x4_t a) { return vreinterpretq_s32_f32(a); }
inline uint32x4_t bits(float32x4_t a) { return vreinterpretq_u32_f32(a); }
inline Vec int_to_float(Vec a) { return {vcvtq_f32_s32(whole(a.low)), vcvtq_f32_s32(whole(a.high))}; }
inline Vec split_weights(Vec w) { return w; }  // 32-bit products are whole instructions here
inline std::int32_t product_word(std::int32_t x) { return x; }
inline Vec add_products(Vec a, Vec w, std::int32_t x) {  // a + x*w
  return {vreinterpretq_f32_s32(vmlaq_n_s32(whole(a.low), whole(w.low), x)),
          vreinterpretq_f32_s32(vmlaq_n_s32(whole(a.high), whole(w.high), x))};
}
inline Vec low_bf16(Vec pairs) {
  return {vreinterpretq_f32_u32(vshlq_n_u32(bits(pairs.low), 16)),
          vreinterpretq_f32_u32(vshlq_n_u32(bits(pairs.high), 16))};
}
inline float32x4_t high_bf16(uint32x4_t pairs) {
  return vreinterpretq_f32_u32(vandq_u32(pairs, vdupq_n_u32(0xFFFF0000u)));
}
inline Vec high_bf16(Vec pairs) { return {high_bf16(bits(pairs.low)), high_bf16(bits(pairs.high))}; }
inline float32x4_t round_bf16(float32x4_t a) {
  const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits(a), 16), vdupq_n_u32(1));
  const uint32x4_t up = vaddq_u32(bits(a), vaddq_u32(odd, vdupq_n_u32(0x7FFF)));
  const uint32x4_t quiet = vorrq_u32(bits(a), vdupq_n_u32(0x400000));
  return high_bf16(vbslq_u32(vceqq_f32(a, a), up, quiet));
}
inline Vec round_bf16(Vec a) {
  return {round_bf16(a.low), round_bf16(a.high)};
}  // to nearest even, as floats; NaN stays NaN
class ToBytes {  // rounds to nearest even, adds `shift`, keeps within [0, top]; what is no number becomes `shift`
 public:
  ToBytes(std::int32_t shift, std::int32_t top) : shift_(vdupq_n_s32(shift)), top_(vdupq_n_s32(top)) {}
  void put(std::uint8_t* p, Vec v) const { vst1_u8(p, bytes(v)); }
  void put_first(std::uint8_t* p, std::size_t count, Vec v) const {
    std::uint8_t all[kWidth];
    put(all, v);
    for (std::size_t i = 0; i < count; ++i) p[i] = all[i];
  }
  void put_four(std::uint8_t* p, Vec a, Vec b, Vec c, Vec d) const {
    vst1q_u8(p, vcombine_u8(bytes(a), bytes(b)));
    vst1q_u8(p + 2 * kWidth, vcombine_u8(bytes(c), bytes(d)));
  }

 private:
  uint16x4_t level(float32x4_t v) const {
    const int32x4_t shifted = vaddq_s32(vcvtnq_s32_f32(v), shift_);
    return vqmovun_s32(vminq_s32(shifted, top_));
  }
  uint8x8_t bytes(Vec v) const { return vmovn_u16(vcombine_u16(level(v.low), level(v.high))); }
  int32x4_t shift_, top_;
};

}  // namespace
}  // namespace fathom::kernels
