// In which numbers a model's layers compute: sums are always float32 (int8: exact integers), whatever this says.
//   fp32  weights and activations in float32
//   bf16  both rounded to bfloat16, half the bytes of weights
//   int8  weights by output channel, activations by row, a quarter of the bytes
// Embedding tables, norms, biases, exits and the decision stay in float32. Thread rule: plain values.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "base/result.h"

namespace fathom {

enum class Precision : std::uint8_t { fp32, bf16, int8 };
inline constexpr std::array<Precision, 3> kAllPrecisions = {Precision::fp32, Precision::bf16, Precision::int8};

inline const char* precision_name(Precision precision) {
  constexpr std::array kNames = {"fp32", "bf16", "int8"};
  return kNames[static_cast<std::size_t>(precision)];
}

inline Result<Precision> parse_precision(const std::string& name) {
  for (const Precision precision : kAllPrecisions)
    if (name == precision_name(precision)) return precision;
  return Error{Code::usage, "unknown precision '" + name + "'", "known precisions: fp32, bf16, int8"};
}

}  // namespace fathom
