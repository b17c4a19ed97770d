// Kernels of one tier as plain function pointers, chosen once when a Plan is compiled.
// What: building blocks of a transformer forward pass, GEMM in fp32, bf16 and int8. What not: files, models, policies.
// Contract of every kernel: noexcept, no allocation, no lock; all pointers valid, sizes already checked.
// Determinism: within a tier each output element is a pure function of its own row (gemm, layernorm, ...)
// or its own sequence (attention): bit-equal for any batch, row position, thread split or M.
// Accumulation over k, fp32: k = 0..K-1 in one chain of fused multiply-adds an element; the tiers may differ from one
// another by rounding only. bf16: the same chain over the rounded numbers (of even length, a 0 behind an odd K); tier
// avx512_bf16 adds the two products of a pair as its instruction does, odd k first, each rounded, denormals taken for
// 0; tier avx512_amx makes two chains, of even and of odd k, over every 32 k, and and adds their sum to what it has,
// denormals taken for 0 before they are rounded (k > 262,112: as avx512_bf16). int8: exact. Tests iterate all tables
// against a double-precision reference: src/kernels/{kernels,bf16,int8}_test.cpp.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/cpu.h"
#include "kernels/args.h"

namespace fathom::kernels {

// Sums of a column's weights, at most 127 each, stay below 2^22 (kernels/split_product.h), and so sums of 255 * 127
// within int32.
inline constexpr std::size_t kInt8MaxK = 33'000;

// Bytes of one quantized row, the least row stride: readers take whole words of four.
inline constexpr std::size_t int8_row_bytes(std::size_t k) { return (k + 3) / 4 * 4; }

struct Table {
  Tier tier = Tier::ref;
  const char* name = "";
  std::size_t panel = 0;  // columns of one packed panel
  int levels = 0;         // largest quantized activation: 255 where 8-bit products are summed exactly, else 127

  // Floats of GemmOutput::scratch, a multiple of 16, that every call of a GEMM may use: kernels live on small stacks.
  std::size_t gemm_scratch = 0;

  bool tiles =
      false;  // products of int8 and bf16 are quicker than weights are read: more rows at once read them less often

  // Weights w[n, k] (row-major, as a Linear layer stores them) to panels: packed_size floats, zero padded.
  std::size_t (*packed_size)(std::size_t n, std::size_t k) noexcept = nullptr;
  void (*pack_weights)(const float* w, std::size_t n, std::size_t k, float* packed) noexcept = nullptr;
  void (*gemm)(const GemmArgs& args) noexcept = nullptr;

  // The same in bf16, sizes in bytes: weights rounded to nearest even when packed, activations by the kernel, sums in
  // fp32.
  std::size_t (*packed_size_bf16)(std::size_t n, std::size_t k) noexcept = nullptr;
  void (*pack_weights_bf16)(const float* w, std::size_t n, std::size_t k, std::byte* packed) noexcept = nullptr;
  void (*gemm_bf16)(const GemmArgs& args) noexcept = nullptr;

  // int8, sizes in bytes, k <= kInt8MaxK: w ~ column_scale * p, p in [-127, 127], column_scale = max|w| of its row /
  // 127. A row of w that is not finite makes its column of c NaN.
  std::size_t (*packed_size_int8)(std::size_t n, std::size_t k) noexcept = nullptr;
  void (*pack_weights_int8)(const float* w, std::size_t n, std::size_t k, std::byte* packed) noexcept = nullptr;
  // x ~ scale * (q - zero), q in [0, levels], each row by its own range, which always includes 0; 0 is exact, the rest
  // within scale/2 (and rounding). Writes k rounded up to 4 bytes of each row, q of 0 behind k. A row that is not
  // finite gets scale NaN, and all its outputs are NaN. scale is at least 2^-126, so smaller numbers may become 0.
  void (*quantize_rows)(const float* x, std::size_t ldx, std::size_t rows, std::size_t k, std::uint8_t* q,
                        std::size_t ldq, float* scale, std::int32_t* zero) noexcept = nullptr;
  // c = act(fma(float(sum q*p - zero * sum p), row_scale * column_scale, bias)) + residual, rounded after each
  // operation in this order: with activation none or relu the very bits of tier ref.
  void (*gemm_int8)(const Int8GemmArgs& args) noexcept = nullptr;

  std::size_t (*attention_scratch)(std::size_t longest, std::size_t dim, bool linear) noexcept = nullptr;
  void (*attention)(const AttentionArgs& args) noexcept = nullptr;

  // y = (x - mean) / sqrt(var + eps) * gamma + beta for each of `rows` rows of n; x may alias y.
  void (*layernorm)(const float* x, std::size_t ldx, std::size_t rows, std::size_t n, const float* gamma,
                    const float* beta, float eps, float* y, std::size_t ldy) noexcept = nullptr;
  // layernorm, and quantize_rows of what it wrote, in one go and with the same bits.
  void (*layernorm_quantize)(const float* x, std::size_t ldx, std::size_t rows, std::size_t n, const float* gamma,
                             const float* beta, float eps, float* y, std::size_t ldy, std::uint8_t* q, std::size_t ldq,
                             float* scale, std::int32_t* zero) noexcept = nullptr;
  // y[t] = word[ids[t]] + position[positions[t]] (+ type[types[t]] if type is not null), tokens rows of n; types null:
  // all 0.
  void (*embed)(const float* word, const float* position, const float* type, const std::int32_t* ids,
                const std::int32_t* positions, const std::int32_t* types, std::size_t tokens, std::size_t n,
                float* y) noexcept = nullptr;
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
