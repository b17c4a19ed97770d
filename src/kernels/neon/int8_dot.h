// int8 products of signed bytes: pairs in 16 bits, fours in 32. Exact: weights are at least -127, so a pair is at most
// 2 * 128 * 127 < 2^15.
#pragma once

#include "kernels/neon/signed_bytes.h"

namespace fathom::kernels {
namespace {

constexpr int kInt8Rows = 5;  // products take two more registers than fp32 needs
constexpr bool kInt8Expects = true;

inline float32x4_t dot4(float32x4_t sum, int8x16_t a, int8x16_t w) {
  const int16x8_t pairs = vpaddq_s16(vmull_s8(vget_low_s8(a), vget_low_s8(w)), vmull_high_s8(a, w));
  return vreinterpretq_f32_s32(vpadalq_s16(whole(sum), pairs));
}
inline Vec dot4(Vec sum, Vec a, Vec w) {
  return {dot4(sum.low, signed_bytes(a.low), signed_bytes(w.low)),
          dot4(sum.high, signed_bytes(a.high), signed_bytes(w.high))};
}

}  // namespace
}  // namespace fathom::kernels
