// int8 products of signed bytes by SDOT: one exact instruction for four.
#pragma once

#include "kernels/neon/signed_bytes.h"

namespace fathom::kernels {
namespace {

constexpr int kInt8Rows = kTileRows;
constexpr bool kInt8Expects = true;

inline float32x4_t dot4(float32x4_t sum, int8x16_t a, int8x16_t w) {
  return vreinterpretq_f32_s32(vdotq_s32(whole(sum), a, w));
}
inline Vec dot4(Vec sum, Vec a, Vec w) {
  return {dot4(sum.low, signed_bytes(a.low), signed_bytes(w.low)),
          dot4(sum.high, signed_bytes(a.high), signed_bytes(w.high))};
}

}  // namespace
}  // namespace fathom::kernels
