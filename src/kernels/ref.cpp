// The portable tier: plain loops, the form the other tiers are read against. Multiplies and adds are not fused here
// (a software fma would cost a hundred times more): the difference to the other tiers is rounding.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/bf16.h"
#include "kernels/tiers.h"

namespace fathom::kernels::ref {
namespace {

float activate(float x, Activation activation) {
  if (activation == Activation::gelu) return 0.5f * x * (1.0f + std::erf(x * 0.70710678f));
  if (activation == Activation::relu) return x < 0.0f ? 0.0f : x;
  return x;
}

float bias_of(const GemmOutput& g, std::size_t column) { return g.bias ? g.bias[column] : 0.0f; }

// One output element from its value.
void put(const GemmOutput& g, std::size_t row, std::size_t column, float value) {
  const float y = activate(value, g.activation);
  g.c[row * g.ldc + column] = g.residual ? y + g.residual[row * g.ldr + column] : y;
}

float sigmoid(float x) { return 1.0f / (1.0f + std::exp(-x)); }

// One query row against the keys [begin, end) of its pair; p receives the softmax weights.
void attention_row(const float* q, const float* k, const float* v, std::size_t ld, std::size_t dim, float scale,
                   std::size_t begin, std::size_t end, float* p, float* out) {
  float top = -std::numeric_limits<float>::infinity(), total = 0.0f;
  for (std::size_t j = begin; j < end; ++j) {
    float s = 0.0f;
    for (std::size_t d = 0; d < dim; ++d) s += q[d] * k[j * ld + d];
    p[j - begin] = s * scale;
    top = std::max(top, p[j - begin]);
  }
  for (std::size_t j = 0; j < end - begin; ++j) total += p[j] = std::exp(p[j] - top);
  std::fill(out, out + dim, 0.0f);
  for (std::size_t j = begin; j < end; ++j)
    for (std::size_t d = 0; d < dim; ++d) out[d] += p[j - begin] * v[j * ld + d];
  for (std::size_t d = 0; d < dim; ++d) out[d] *= 1.0f / total;
}

float feature(float x) { return x > 0.0f ? x + 1.0f : std::exp(x < -30.0f ? -30.0f : x); }  // NaN stays NaN

// One (sequence, head) pair; `state`: S [dim][dim], then z [dim].
void linear_pair(const float* q, const float* k, const float* v, std::size_t ld, std::size_t length, std::size_t dim,
                 float* state, float* out, std::size_t ldo) {
  float* z = state + dim * dim;
  std::fill(state, z + dim, 0.0f);
  for (std::size_t j = 0; j < length; ++j)
    for (std::size_t d = 0; d < dim; ++d) {
      const float key = feature(k[j * ld + d]);
      z[d] += key;
      for (std::size_t e = 0; e < dim; ++e) state[d * dim + e] += key * v[j * ld + e];
    }
  for (std::size_t i = 0; i < length; ++i, out += ldo) {
    float total = 0.0f;
    std::fill(out, out + dim, 0.0f);
    for (std::size_t d = 0; d < dim; ++d) {
      const float query = feature(q[i * ld + d]);
      total += query * z[d];
      for (std::size_t e = 0; e < dim; ++e) out[e] += query * state[d * dim + e];
    }
    for (std::size_t e = 0; e < dim; ++e) out[e] *= 1.0f / total;
  }
}

}  // namespace

void gemm(const GemmArgs& g) noexcept {
  for (std::size_t r = 0; r < g.m; ++r)
    for (std::size_t column = g.n_begin; column < g.n_end; column += kPanel) {
      float sums[kPanel] = {};
      const float* b = static_cast<const float*>(g.packed) + column * g.k;
      for (std::size_t i = 0; i < g.k; ++i, b += kPanel)
        for (std::size_t j = 0; j < kPanel; ++j) sums[j] += g.a[r * g.lda + i] * b[j];
      for (std::size_t j = 0; j < kPanel && column + j < g.n_end; ++j)
        put(g, r, column + j, sums[j] + bias_of(g, column + j));
    }
}

// A product of two bf16 is exact in fp32, so rounding it before the sum changes nothing: the bits of a fused chain.
void gemm_bf16(const GemmArgs& g) noexcept {
  const std::size_t even = (g.k + 1) / 2 * 2;
  for (std::size_t r = 0; r < g.m; ++r)
    for (std::size_t column = g.n_begin; column < g.n_end; column += kPanel) {
      float sums[kPanel] = {};
      const auto* b = static_cast<const std::uint16_t*>(g.packed) + column * even;
      for (std::size_t i = 0; i < even; ++i) {
        const float a = i < g.k ? from_bf16(to_bf16(g.a[r * g.lda + i])) : 0.0f;
        for (std::size_t j = 0; j < kPanel; ++j) sums[j] += a * from_bf16(b[(i / 2 * kPanel + j) * 2 + i % 2]);
      }
      for (std::size_t j = 0; j < kPanel && column + j < g.n_end; ++j)
        put(g, r, column + j, sums[j] + bias_of(g, column + j));
    }
}

void gemm_int8(const Int8GemmArgs& g) noexcept {
  const std::size_t words = (g.k + 3) / 4, row_bytes = 4 * kPanel;
  for (std::size_t r = 0; r < g.m; ++r)
    for (std::size_t column = g.n_begin; column < g.n_end; column += kPanel) {
      const auto* panel = static_cast<const std::int8_t*>(g.packed) + column * (words + 2) * 4;
      float scales[kPanel];
      std::int32_t weights[kPanel], sums[kPanel] = {};
      std::memcpy(scales, panel + words * row_bytes, sizeof scales);
      std::memcpy(weights, panel + (words + 1) * row_bytes, sizeof weights);
      for (std::size_t i = 0; i < g.k; ++i)
        for (std::size_t j = 0; j < kPanel; ++j)
          sums[j] += g.a[r * g.lda + i] * panel[i / 4 * row_bytes + 4 * j + i % 4];
      for (std::size_t j = 0; j < kPanel && column + j < g.n_end; ++j)
        put(g, r, column + j,
            std::fma(static_cast<float>(sums[j] - g.row_zero[r] * weights[j]), g.row_scale[r] * scales[j],
                     bias_of(g, column + j)));
    }
}

void quantize_rows(const float* x, std::size_t ldx, std::size_t rows, std::size_t k, std::uint8_t* q, std::size_t ldq,
                   float* scale, std::int32_t* zero) noexcept {
  constexpr float kTop = kLevels;
  for (std::size_t r = 0; r < rows; ++r, x += ldx, q += ldq) {
    const bool finite = std::all_of(x, x + k, [](float v) { return std::isfinite(v); });
    float low = 0.0f, high = 0.0f;
    for (std::size_t i = 0; finite && i < k; ++i) {
      low = std::min(low, x[i]);
      high = std::max(high, x[i]);
    }
    scale[r] = finite ? std::max(high / kTop - low / kTop, std::numeric_limits<float>::min())
                      : std::numeric_limits<float>::quiet_NaN();
    const float inverse = finite ? 1.0f / scale[r] : 0.0f, shift = std::nearbyint(-low * inverse);
    zero[r] = static_cast<std::int32_t>(shift);
    for (std::size_t i = 0; i < (k + 3) / 4 * 4; ++i) {
      const float v = finite && i < k ? x[i] : 0.0f;
      q[i] = static_cast<std::uint8_t>(std::clamp(std::nearbyint(v * inverse) + shift, 0.0f, kTop));
    }
  }
}

std::size_t attention_scratch(std::size_t longest, std::size_t dim, bool linear) noexcept {
  return linear ? (dim + 1) * dim : longest;
}

void attention(const AttentionArgs& g) noexcept {
  const std::size_t heads = static_cast<std::size_t>(g.heads), dim = static_cast<std::size_t>(g.dim),
                    hidden = heads * dim;
  const std::size_t window = static_cast<std::size_t>(g.window), ld = 3 * hidden;
  for (std::size_t pair = g.pair_begin; pair < g.pair_end; ++pair) {
    const std::size_t s = pair / heads, column = pair % heads * dim;
    const std::size_t begin = static_cast<std::size_t>(g.offsets[s]),
                      length = static_cast<std::size_t>(g.offsets[s + 1]) - begin;
    const float* q = g.qkv + begin * ld + 3 * column;
    if (g.linear) {
      linear_pair(q, q + dim, q + 2 * dim, ld, length, dim, g.scratch, g.out + begin * hidden + column, hidden);
      continue;
    }
    for (std::size_t i = 0; i < length; ++i) {
      const std::size_t low = window && i > window ? i - window : 0;
      const std::size_t high = window ? std::min(length, i + window + 1) : length;
      attention_row(q + i * ld, q + dim, q + 2 * dim, ld, dim, g.scale, low, high, g.scratch,
                    g.out + (begin + i) * hidden + column);
    }
  }
}

void layernorm(const float* x, std::size_t ldx, std::size_t rows, std::size_t n, const float* gamma, const float* beta,
               float eps, float* y, std::size_t ldy) noexcept {
  for (std::size_t r = 0; r < rows; ++r, x += ldx, y += ldy) {
    float mean = 0.0f, variance = 0.0f;
    for (std::size_t i = 0; i < n; ++i) mean += x[i];
    mean /= static_cast<float>(n);
    for (std::size_t i = 0; i < n; ++i) variance += (x[i] - mean) * (x[i] - mean);
    const float scale = 1.0f / std::sqrt(variance / static_cast<float>(n) + eps);
    for (std::size_t i = 0; i < n; ++i) y[i] = (x[i] - mean) * scale * gamma[i] + beta[i];
  }
}

void layernorm_quantize(const float* x, std::size_t ldx, std::size_t rows, std::size_t n, const float* gamma,
                        const float* beta, float eps, float* y, std::size_t ldy, std::uint8_t* q, std::size_t ldq,
                        float* scale, std::int32_t* zero) noexcept {
  layernorm(x, ldx, rows, n, gamma, beta, eps, y, ldy);
  quantize_rows(y, ldy, rows, n, q, ldq, scale, zero);
}

void embed(const float* word, const float* position, const float* type, const std::int32_t* ids,
           const std::int32_t* positions, const std::int32_t* types, std::size_t tokens, std::size_t n,
           float* y) noexcept {
  for (std::size_t t = 0; t < tokens; ++t, y += n) {
    const float* w = word + static_cast<std::size_t>(ids[t]) * n;
    const float* p = position + static_cast<std::size_t>(positions[t]) * n;
    const float* k = type && types ? type + static_cast<std::size_t>(types[t]) * n : type;
    for (std::size_t i = 0; i < n; ++i) y[i] = k ? w[i] + p[i] + k[i] : w[i] + p[i];
  }
}

void mean_rows(const float* x, std::size_t ldx, std::size_t rows, std::size_t n, float* y) noexcept {
  for (std::size_t i = 0; i < n; ++i) {
    float total = 0.0f;
    for (std::size_t r = 0; r < rows; ++r) total += x[r * ldx + i];
    y[i] = total / static_cast<float>(rows);
  }
}

void softmax(const float* x, std::size_t n, float temperature, float* y) noexcept {
  float top = x[0], total = 0.0f;
  for (std::size_t i = 1; i < n; ++i) top = std::max(top, x[i]);
  for (std::size_t i = 0; i < n; ++i) total += y[i] = std::exp((x[i] - top) / temperature);
  for (std::size_t i = 0; i < n; ++i) y[i] /= total;
}

void lstm_cell(const float* gates, std::size_t n, float* cell, float* hidden) noexcept {
  for (std::size_t i = 0; i < n; ++i) {
    cell[i] = sigmoid(gates[n + i]) * cell[i] + sigmoid(gates[i]) * std::tanh(gates[2 * n + i]);
    hidden[i] = sigmoid(gates[3 * n + i]) * std::tanh(cell[i]);
  }
}

}  // namespace fathom::kernels::ref
