// Weights w[n, k] (row-major) to the panels of P columns that each kind of GEMM reads, for table.cpp. Panel after
// panel; in a panel k is outermost. What lies beyond n or k is 0, and where a number lies depends on the shape alone.
//   fp32: a row of a panel is P floats of one k.
//   bf16: P words of two k each, the even k in the low half.
//   int8: P words of four k each, lowest k in the lowest byte; behind them P scales (float), then P sums of weights
//   (int32).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "kernels/bf16.h"

namespace fathom::kernels {

template <std::size_t P>
std::size_t packed_size(std::size_t n, std::size_t k) noexcept {
  return (n + P - 1) / P * P * k;
}

// Calls put(j, i) for all columns j < P and k in blocks, whose strided writes stay in L1.
template <std::size_t P, class Put>
void over_panel(std::size_t k, const Put& put) {
  constexpr std::size_t kBlock = 64;
  for (std::size_t k0 = 0; k0 < k; k0 += kBlock) {
    const std::size_t k1 = std::min(k, k0 + kBlock);
    for (std::size_t j = 0; j < P; ++j)
      for (std::size_t i = k0; i < k1; ++i) put(j, i);
  }
}

template <std::size_t P>
void pack_weights(const float* w, std::size_t n, std::size_t k, float* packed) noexcept {
  for (std::size_t column = 0; column < n; column += P, packed += P * k)
    over_panel<P>(
        k, [&](std::size_t j, std::size_t i) { packed[i * P + j] = column + j < n ? w[(column + j) * k + i] : 0.0f; });
}

template <std::size_t P>
std::size_t packed_size_bf16(std::size_t n, std::size_t k) noexcept {
  return (n + P - 1) / P * P * ((k + 1) / 2) * 4;
}

template <std::size_t P>
void pack_weights_bf16(const float* w, std::size_t n, std::size_t k, std::byte* packed) noexcept {
  const std::size_t even = (k + 1) / 2 * 2;
  for (std::size_t column = 0; column < n; column += P, packed += P * even * 2)
    over_panel<P>(even, [&](std::size_t j, std::size_t i) {
      const std::uint16_t x = column + j < n && i < k ? to_bf16(w[(column + j) * k + i]) : std::uint16_t{0};
      std::memcpy(packed + ((i / 2 * P + j) * 2 + i % 2) * 2, &x, 2);
    });
}

template <std::size_t P>
std::size_t packed_size_int8(std::size_t n, std::size_t k) noexcept {
  return (n + P - 1) / P * P * ((k + 3) / 4 + 2) * 4;
}

// Scale of one column: its largest magnitude is 127. NaN if a weight is not finite; a column of zeros gets 0. Scales
// below the least normal float are raised to it: their inverse would not be finite.
inline float column_scale(const float* w, std::size_t k) {
  float top = 0.0f;
  for (std::size_t i = 0; i < k; ++i) {
    if (!std::isfinite(w[i])) return std::numeric_limits<float>::quiet_NaN();
    top = std::max(top, std::fabs(w[i]));
  }
  return top == 0.0f ? 0.0f : std::max(top / 127.0f, std::numeric_limits<float>::min());
}

// One weight of a column whose scale has this inverse (0: the column is zero, or its scale tells that it is not
// finite).
inline std::int8_t int8_weight(float w, float inverse) {
  return inverse != 0.0f ? static_cast<std::int8_t>(std::clamp(std::nearbyint(w * inverse), -127.0f, 127.0f))
                         : std::int8_t{0};
}

template <std::size_t P>
void pack_weights_int8(const float* w, std::size_t n, std::size_t k, std::byte* packed) noexcept {
  const std::size_t padded = (k + 3) / 4 * 4;
  for (std::size_t column = 0; column < n; column += P, packed += P * (padded + 8)) {
    float scales[P], inverses[P];
    std::int32_t sums[P] = {};
    for (std::size_t j = 0; j < P; ++j) {
      scales[j] = column + j < n ? column_scale(w + (column + j) * k, k) : 0.0f;
      inverses[j] = scales[j] > 0.0f ? 1.0f / scales[j] : 0.0f;  // a NaN scale: weights 0, the scale tells
    }
    over_panel<P>(padded, [&](std::size_t j, std::size_t i) {
      const std::int8_t q =
          inverses[j] != 0.0f && i < k ? int8_weight(w[(column + j) * k + i], inverses[j]) : std::int8_t{0};
      sums[j] += q;
      std::memcpy(packed + (i / 4 * P + j) * 4 + i % 4, &q, 1);
    });
    std::memcpy(packed + P * padded, scales, sizeof scales);
    std::memcpy(packed + P * padded + sizeof scales, sums, sizeof sums);
  }
}

}  // namespace fathom::kernels
