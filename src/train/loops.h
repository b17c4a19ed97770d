// What the files of loops share (layer_kernels.cpp, linear_attention.cpp): copies for several CPU levels, and the smallest loops.
#pragma once

#include <bit>
#include <cstdint>

// Several copies of each function, one per CPU level, chosen when the program is loaded.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define FATHOM_LEVELS __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FATHOM_LEVELS
#endif
#define FATHOM_INLINE static inline __attribute__((always_inline))

namespace fathom::train {

// exp for x <= 0 (clamped at -87): Cephes' polynomial, relative error about 2e-7.
FATHOM_INLINE float exp_negative(float x) {
  x = x < -87.0f ? -87.0f : x;
  const float rounded = x * 1.44269504088896341f - 0.5f;
  const auto whole = static_cast<std::int32_t>(rounded);  // truncation: x <= 0
  const float n = static_cast<float>(whole);
  const float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  return p * std::bit_cast<float>((whole + 127) << 23);
}

FATHOM_INLINE float dot(const float* a, const float* b, std::int64_t n) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

FATHOM_INLINE void add_scaled(float* to, float scale, const float* from, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) to[i] += scale * from[i];
}

}  // namespace fathom::train
