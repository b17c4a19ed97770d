// Kernels of one tier as plain function pointers, chosen once when a Plan is compiled.
// What: fp32 building blocks of a transformer forward pass. What not: files, models, policies, allocation.
// Contract of every kernel: noexcept, no allocation, no lock; all pointers valid, sizes already checked.
// Determinism: within a tier each output element is a pure function of its own row (gemm, layernorm, ...)
// or its own sequence (attention): bit-equal for any batch, row position, thread split or M.
// Accumulation over k runs k = 0..K-1 in one chain of fused multiply-adds an element; the tiers may differ
// from one another by rounding only.
// Tests iterate all tables against a double-precision reference: src/kernels/kernels_test.cpp.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/cpu.h"
#include "kernels/args.h"

namespace fathom::kernels {

struct Table {
  Tier tier = Tier::ref;
  const char* name = "";
  std::size_t panel = 0;  // columns of one packed panel

  // Weights w[n, k] (row-major, as a Linear layer stores them) to panels: packed_size floats, zero padded.
  std::size_t (*packed_size)(std::size_t n, std::size_t k) noexcept = nullptr;
  void (*pack_weights)(const float* w, std::size_t n, std::size_t k, float* packed) noexcept = nullptr;
  void (*gemm)(const GemmArgs& args) noexcept = nullptr;

  std::size_t (*attention_scratch)(std::size_t longest, std::size_t dim) noexcept = nullptr;
  void (*attention)(const AttentionArgs& args) noexcept = nullptr;

  // y = (x - mean) / sqrt(var + eps) * gamma + beta for each of `rows` rows of n; x may alias y.
  void (*layernorm)(const float* x, std::size_t ldx, std::size_t rows, std::size_t n, const float* gamma,
                    const float* beta, float eps, float* y, std::size_t ldy) noexcept = nullptr;
  // y[t] = word[ids[t]] + position[positions[t]] (+ type[types[t]] if type is not null), tokens rows of n; types null: all 0.
  void (*embed)(const float* word, const float* position, const float* type, const std::int32_t* ids,
                const std::int32_t* positions, const std::int32_t* types, std::size_t tokens, std::size_t n, float* y) noexcept = nullptr;
  // Mean over `rows` rows of n (row stride ldx) into y.
  void (*mean_rows)(const float* x, std::size_t ldx, std::size_t rows, std::size_t n, float* y) noexcept = nullptr;
  // Softmax of one row of n logits divided by temperature.
  void (*softmax)(const float* x, std::size_t n, float temperature, float* y) noexcept = nullptr;
  // LSTM cell, gate order i, f, g, o (as torch): gates[4*n] pre-activations; cell and hidden updated in place.
  void (*lstm_cell)(const float* gates, std::size_t n, float* cell, float* hidden) noexcept = nullptr;
};

// The table of a tier; the caller has checked tier_available().
const Table& table(Tier tier);

}  // namespace fathom::kernels
