// bf16 numbers on any processor: the high half of a float, rounded to nearest even. NaN stays NaN, what exceeds the
// largest bf16 becomes infinite. Portable code only: tiers round in registers, by the same rule (bf16_test.cpp).
#pragma once

#include <bit>
#include <cstdint>

namespace fathom::kernels {

inline std::uint16_t to_bf16(float x) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(x);
  if (x != x) return static_cast<std::uint16_t>(bits >> 16 | 0x40);
  return static_cast<std::uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

inline float from_bf16(std::uint16_t x) { return std::bit_cast<float>(std::uint32_t{x} << 16); }

}  // namespace fathom::kernels
