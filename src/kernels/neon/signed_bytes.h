// Activations for instructions that multiply signed bytes: 128 less, so that all 256 levels fit.
#pragma once

#include "kernels/neon/vec_neon.h"

namespace fathom::kernels {
namespace {

constexpr int kInt8Shift = 128;

inline int8x16_t signed_bytes(float32x4_t a) { return vreinterpretq_s8_f32(a); }
inline float32x4_t shifted(float32x4_t a) {
  return vreinterpretq_f32_u8(veorq_u8(vreinterpretq_u8_f32(a), vdupq_n_u8(0x80)));
}
inline Vec shifted(Vec a) { return {shifted(a.low), shifted(a.high)}; }

}  // namespace
}  // namespace fathom::kernels
