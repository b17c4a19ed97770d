// Arguments of the kernels, as plain data. Lean on purpose: kernel tiers include this header and nothing heavier,
// so that no code compiled for AVX can end up in portable functions (docs/adr on kernel translation units).
// Contract and maths: kernels/table.h.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fathom::kernels {

enum class Activation : std::uint8_t {
  none,
  relu,
  gelu
};  // gelu: erf form, |error| <= 2e-7 * max(1,|x|); of -infinity 0 or NaN, by tier

// Floats of working space of one call of a vector tier's GEMM: packed activations and waiting sums (gemm.inc); with
// tiles copied activations and sums (avx512_amx/gemm_tiles.h), which falls back on the others.
inline constexpr std::size_t kGemmScratch = 134'080, kTiledGemmScratch = 161'792;

// What every GEMM shares: c[m,n] = act(a[m,k] * w^T + bias) + residual, for columns [n_begin, n_end) only, n_begin a
// multiple of the panel width: threads split N by panels (or M by rows, by moving the pointers).
struct GemmOutput {
  const float* bias = nullptr;      // [n] or null
  const float* residual = nullptr;  // [m, n], row stride ldr, or null; may alias c
  std::size_t ldr = 0;
  float* c = nullptr;  // [m, n], row stride ldc; must not overlap a
  std::size_t ldc = 0;
  std::size_t m = 0, n = 0, k = 0;
  std::size_t n_begin = 0, n_end = 0;
  Activation activation = Activation::none;
  float* scratch = nullptr;  // Table::gemm_scratch floats, 64-byte aligned, of this call alone
};

// For gemm and gemm_bf16.
struct GemmArgs : GemmOutput {
  const float* a = nullptr;  // [m, k], row stride lda
  std::size_t lda = 0;
  const void* packed = nullptr;  // from pack_weights (fp32) or pack_weights_bf16, 64-byte aligned
};

// For gemm_int8: rows that quantize_rows of the same table made, a[i][l] = row_scale[i] * (q[i][l] - row_zero[i]).
struct Int8GemmArgs : GemmOutput {
  const std::uint8_t* a = nullptr;  // [m, k], row stride lda bytes; readable to k rounded up to 4 in each row
  std::size_t lda = 0;
  const float* row_scale = nullptr;        // [m]
  const std::int32_t* row_zero = nullptr;  // [m]
  const void* packed = nullptr;            // from pack_weights_int8, 64-byte aligned
};

// Self-attention over one packed batch: sequence s is rows offsets[s]..offsets[s+1] of qkv.
// softmax: out_i = sum_j p_ij v_j, p_i the softmax of scale * q_i . k_j over the keys j that token i sees.
// linear: out_i = phi(q_i) S / phi(q_i) . z, S = sum_j phi(k_j) v_j^T, z = sum_j phi(k_j), over all keys; no scale.
// phi(x) = x + 1 above 0, e^x from -30 to 0, e^-30 below: no denominator is 0, and no e^x is a denormal.
// One call computes the (sequence, head) pairs [pair_begin, pair_end) of batch*heads, sequence-major.
struct AttentionArgs {
  const float* qkv = nullptr;             // [tokens, heads, 3, dim]: each head's q, k and v side by side
  float* out = nullptr;                   // [tokens, heads*dim]
  const std::int32_t* offsets = nullptr;  // [batch + 1]
  int heads = 0, dim = 0;
  bool linear = false;
  int window = 0;      // softmax; 0: every token sees every token; w: only |i - j| <= w
  float scale = 0.0f;  // softmax; 1/sqrt(dim)
  std::size_t pair_begin = 0, pair_end = 0;
  float* scratch = nullptr;  // attention_scratch(longest sequence, dim, linear) floats, one per thread
};

}  // namespace fathom::kernels
