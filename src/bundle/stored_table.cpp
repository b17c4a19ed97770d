#include "bundle/stored_table.h"

#include <bit>
#include <cstdint>
#include <cstring>

namespace fathom {
namespace {

// IEEE half to float, exactly: subnormals are scaled by 2^-24.
float float_of_half(std::uint16_t half) {
  const std::uint32_t sign = std::uint32_t{half & 0x8000u} << 16, exponent = (half >> 10) & 31u,
                      fraction = half & 1023u;
  if (exponent == 0) {
    const float value = static_cast<float>(fraction) * 0x1p-24f;
    return sign != 0 ? -value : value;
  }
  return std::bit_cast<float>(sign | (exponent == 31 ? 255u : exponent + 112u) << 23 | fraction << 13);
}

template <class Widen>
void each_half(const std::byte* from, std::size_t count, float* to, const Widen& widened) {
  for (std::size_t i = 0; i < count; ++i) {
    std::uint16_t half;
    std::memcpy(&half, from + 2 * i, 2);
    to[i] = widened(half);
  }
}

}  // namespace

std::optional<Stored> stored_as(const std::string& dtype) {
  if (dtype == "F32") return Stored::f32;
  if (dtype == "F16") return Stored::f16;
  if (dtype == "BF16") return Stored::bf16;
  if (dtype == "I8") return Stored::i8;
  return std::nullopt;
}

void widen(Stored type, const std::byte* from, std::size_t count, float scale, float* to) {
  switch (type) {
    case Stored::f32:
      std::memcpy(to, from, count * sizeof(float));
      return;
    case Stored::f16:
      return each_half(from, count, to, float_of_half);
    case Stored::bf16:
      return each_half(from, count, to,
                       [](std::uint16_t half) { return std::bit_cast<float>(std::uint32_t{half} << 16); });
    case Stored::i8:
      for (std::size_t i = 0; i < count; ++i) to[i] = static_cast<float>(static_cast<std::int8_t>(from[i])) * scale;
      return;
  }
}

}  // namespace fathom
