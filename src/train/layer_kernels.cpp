#include "train/layer_kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

// Several copies of each function, one per CPU level, chosen when the program is loaded.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define FATHOM_LEVELS __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FATHOM_LEVELS
#endif
#define FATHOM_INLINE static inline __attribute__((always_inline))

namespace fathom::train {
namespace {

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

struct Normal {
  float phi, cumulative;  // density and distribution of the standard normal
};
FATHOM_INLINE Normal normal_at(float x) {
  const float bell = exp_negative(-0.5f * x * x);
  const float t = 1.0f / (1.0f + 0.3275911f * 0.70710678f * std::fabs(x));
  const float poly =
      ((((1.061405429f * t - 1.453152027f) * t + 1.421413741f) * t - 0.284496736f) * t + 0.254829592f) * t;
  const float tail = 0.5f * poly * bell;  // 1 - Phi(|x|)
  return {0.39894228f * bell, x < 0 ? tail : 1.0f - tail};
}

}  // namespace

FATHOM_LEVELS void norm_forward(NormSize size, const float* x, const float* weight, const float* bias, float* y,
                                float* mean, float* rstd) {
  const std::int64_t width = size.width;
  for (std::int64_t r = 0; r < size.rows; ++r) {
    const float* in = x + r * width;
    float* out = y + r * width;
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t i = 0; i < width; ++i) sum += in[i];
    const float m = sum / static_cast<float>(width);
    float square = 0;
#pragma omp simd reduction(+ : square)
    for (std::int64_t i = 0; i < width; ++i) square += (in[i] - m) * (in[i] - m);
    const float s = 1.0f / std::sqrt(square / static_cast<float>(width) + size.eps);
#pragma omp simd
    for (std::int64_t i = 0; i < width; ++i) out[i] = (in[i] - m) * s * weight[i] + bias[i];
    mean[r] = m;
    rstd[r] = s;
  }
}

FATHOM_LEVELS void norm_backward(NormSize size, const float* dy, const float* x, const float* weight, const float* mean,
                                 const float* rstd, const float* add, float* dx, float* dweight, float* dbias) {
  const std::int64_t width = size.width;
  std::fill(dweight, dweight + width, 0.0f);
  std::fill(dbias, dbias + width, 0.0f);
  for (std::int64_t r = 0; r < size.rows; ++r) {
    const float* g = dy + r * width;
    const float* in = x + r * width;
    float* out = dx + r * width;
    const float m = mean[r], s = rstd[r];
    float a = 0, b = 0;
#pragma omp simd reduction(+ : a, b)
    for (std::int64_t i = 0; i < width; ++i) {
      const float hat = (in[i] - m) * s, scaled = g[i] * weight[i];
      a += scaled;
      b += scaled * hat;
    }
    a /= static_cast<float>(width);
    b /= static_cast<float>(width);
    const float* rest = add != nullptr ? add + r * width : nullptr;
    if (rest != nullptr) {
#pragma omp simd
      for (std::int64_t i = 0; i < width; ++i) {
        const float hat = (in[i] - m) * s, gradient = g[i];
        dweight[i] += gradient * hat;
        dbias[i] += gradient;
        out[i] = rest[i] + s * (gradient * weight[i] - a - hat * b);
      }
    } else {
#pragma omp simd
      for (std::int64_t i = 0; i < width; ++i) {
        const float hat = (in[i] - m) * s, gradient = g[i];
        dweight[i] += gradient * hat;
        dbias[i] += gradient;
        out[i] = s * (gradient * weight[i] - a - hat * b);
      }
    }
  }
}

FATHOM_LEVELS void gelu_forward(std::int64_t count, const float* x, float* y) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) y[i] = x[i] * normal_at(x[i]).cumulative;
}

FATHOM_LEVELS void gelu_backward(std::int64_t count, const float* x, const float* dy, float* dx) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) {
    const Normal n = normal_at(x[i]);
    dx[i] = dy[i] * (n.cumulative + x[i] * n.phi);
  }
}

FATHOM_LEVELS void fake_int8_rows(std::int64_t rows, std::int64_t width, int levels, const float* x, float* y) {
  const float top = static_cast<float>(levels);
  for (std::int64_t r = 0; r < rows; ++r, x += width, y += width) {
    float low = 0, high = 0;
#pragma omp simd reduction(min : low) reduction(max : high)
    for (std::int64_t i = 0; i < width; ++i) {
      low = x[i] < low ? x[i] : low;
      high = x[i] > high ? x[i] : high;
    }
    const float scale = std::max(high / top - low / top, std::numeric_limits<float>::min());
    const float inverse = 1.0f / scale, zero = std::nearbyint(-low * inverse);
#pragma omp simd
    for (std::int64_t i = 0; i < width; ++i) {
      const float q = std::nearbyint(x[i] * inverse) + zero;
      y[i] = scale * ((q < 0 ? 0 : q > top ? top : q) - zero);
    }
  }
}

FATHOM_LEVELS void fake_int8_weights(std::int64_t rows, std::int64_t width, const float* x, float* y) {
  for (std::int64_t r = 0; r < rows; ++r, x += width, y += width) {
    float top = 0;
#pragma omp simd reduction(max : top)
    for (std::int64_t i = 0; i < width; ++i) {
      const float size = std::fabs(x[i]);
      top = size > top ? size : top;
    }
    const float scale = top == 0 ? 0 : std::max(top / 127.0f, std::numeric_limits<float>::min()),
                inverse = scale > 0 ? 1.0f / scale : 0;
#pragma omp simd
    for (std::int64_t i = 0; i < width; ++i) {
      const float q = std::nearbyint(x[i] * inverse);
      y[i] = scale * (q < -127.0f ? -127.0f : q > 127.0f ? 127.0f : q);
    }
  }
}

FATHOM_LEVELS void column_sums(std::int64_t rows, std::int64_t width, const float* x, float* sums) {
  std::fill(sums, sums + width, 0.0f);
  for (std::int64_t r = 0; r < rows; ++r) {
#pragma omp simd
    for (std::int64_t i = 0; i < width; ++i) sums[i] += x[r * width + i];
  }
}

namespace {

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

// The keys one token sees: [begin, end), and where `begin` lies in its row of probabilities.
struct Seen {
  std::int64_t begin, end, at;
};
FATHOM_INLINE Seen seen_by(const AttentionSize& size, std::int64_t i, std::int64_t length) {
  if (size.window == 0) return {0, length, 0};
  const std::int64_t first = i - size.window;
  return {std::max<std::int64_t>(0, first), std::min(length, i + size.window + 1), first < 0 ? -first : 0};
}

// products[j - begin] = x . rows[j], rows `stride` apart; with many rows their transpose [dim, tokens] is used.
FATHOM_INLINE void products_with(const float* x, const float* rows, std::int64_t stride, const float* transposed,
                                 std::int64_t tokens, const Seen& seen, std::int64_t dim, float* products) {
  if (transposed == nullptr) {
    for (std::int64_t j = seen.begin; j < seen.end; ++j) products[j - seen.begin] = dot(x, rows + j * stride, dim);
    return;
  }
  const std::int64_t n = seen.end - seen.begin;
  std::fill(products, products + n, 0.0f);
  for (std::int64_t d = 0; d < dim; ++d) add_scaled(products, x[d], transposed + d * tokens + seen.begin, n);
}

FATHOM_INLINE void transpose(const float* rows, std::int64_t stride, std::int64_t length, std::int64_t tokens,
                             std::int64_t dim, float* out) {
  for (std::int64_t j = 0; j < length; ++j)
    for (std::int64_t d = 0; d < dim; ++d) out[d * tokens + j] = rows[j * stride + d];
}

constexpr std::int64_t kFewKeys = 8;  // up to here, dot products beat a transpose

}  // namespace

namespace {

// `dim` comes a second time, as a constant where it is a usual one: its loops are unrolled then.
FATHOM_INLINE void attention_forward_rows(const AttentionSize& size, const std::int64_t dim, const float* qkv,
                                          const std::int64_t* lengths, float* probabilities, float* mixed) {
  const std::int64_t hidden = size.heads * dim, stride = 3 * hidden, span = size.span();
  const float scale = 1.0f / std::sqrt(static_cast<float>(dim));
  std::vector<float> scratch(static_cast<std::size_t>(span > kFewKeys ? dim * size.tokens : 0));
  std::fill(mixed, mixed + size.batch * size.tokens * hidden, 0.0f);
  for (std::int64_t b = 0; b < size.batch; ++b) {
    for (std::int64_t head = 0; head < size.heads; ++head) {
      const float* q = qkv + b * size.tokens * stride + head * dim;
      const float *k = q + hidden, *v = k + hidden;
      if (!scratch.empty()) transpose(k, stride, lengths[b], size.tokens, dim, scratch.data());
      for (std::int64_t i = 0; i < lengths[b]; ++i) {
        const Seen seen = seen_by(size, i, lengths[b]);
        const std::int64_t n = seen.end - seen.begin;
        float* p = probabilities + ((b * size.heads + head) * size.tokens + i) * span + seen.at;
        products_with(q + i * stride, k, stride, scratch.empty() ? nullptr : scratch.data(), size.tokens, seen, dim, p);
        float most = p[0];
        for (std::int64_t j = 1; j < n; ++j) most = std::max(most, p[j]);
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (std::int64_t j = 0; j < n; ++j) {
          p[j] = exp_negative(scale * (p[j] - most));
          sum += p[j];
        }
        float* out = mixed + (b * size.tokens + i) * hidden + head * dim;
        for (std::int64_t j = 0; j < n; ++j) {
          p[j] /= sum;
          add_scaled(out, p[j], v + (seen.begin + j) * stride, dim);
        }
      }
    }
  }
}

FATHOM_INLINE void attention_backward_rows(const AttentionSize& size, const std::int64_t dim, const float* qkv,
                                           const std::int64_t* lengths, const float* probabilities, const float* dmixed,
                                           float* dqkv) {
  const std::int64_t hidden = size.heads * dim, stride = 3 * hidden, span = size.span();
  const float scale = 1.0f / std::sqrt(static_cast<float>(dim));
  std::vector<float> scratch(static_cast<std::size_t>(span > kFewKeys ? dim * size.tokens : 0));
  std::vector<float> ds(static_cast<std::size_t>(span));
  std::fill(dqkv, dqkv + size.batch * size.tokens * stride, 0.0f);
  for (std::int64_t b = 0; b < size.batch; ++b) {
    for (std::int64_t head = 0; head < size.heads; ++head) {
      const std::int64_t base = b * size.tokens * stride + head * dim;
      const float *q = qkv + base, *k = q + hidden, *v = k + hidden;
      float *dq = dqkv + base, *dk = dq + hidden, *dv = dk + hidden;
      if (!scratch.empty()) transpose(v, stride, lengths[b], size.tokens, dim, scratch.data());
      for (std::int64_t i = 0; i < lengths[b]; ++i) {
        const Seen seen = seen_by(size, i, lengths[b]);
        const std::int64_t n = seen.end - seen.begin;
        const float* p = probabilities + ((b * size.heads + head) * size.tokens + i) * span + seen.at;
        const float* g = dmixed + (b * size.tokens + i) * hidden + head * dim;
        products_with(g, v, stride, scratch.empty() ? nullptr : scratch.data(), size.tokens, seen, dim, ds.data());
        const float inner = dot(ds.data(), p, n);
        for (std::int64_t j = 0; j < n; ++j) {
          const std::int64_t at = (seen.begin + j) * stride;
          const float d = scale * p[j] * (ds[static_cast<std::size_t>(j)] - inner);
          add_scaled(dv + at, p[j], g, dim);
          add_scaled(dq + i * stride, d, k + at, dim);
          add_scaled(dk + at, d, q + i * stride, dim);
        }
      }
    }
  }
}

}  // namespace

FATHOM_LEVELS void attention_forward(AttentionSize size, const float* qkv, const std::int64_t* lengths,
                                     float* probabilities, float* mixed) {
  if (size.dim == 16) return attention_forward_rows(size, 16, qkv, lengths, probabilities, mixed);
  if (size.dim == 32) return attention_forward_rows(size, 32, qkv, lengths, probabilities, mixed);
  attention_forward_rows(size, size.dim, qkv, lengths, probabilities, mixed);
}

FATHOM_LEVELS void attention_backward(AttentionSize size, const float* qkv, const std::int64_t* lengths,
                                      const float* probabilities, const float* dmixed, float* dqkv) {
  if (size.dim == 16) return attention_backward_rows(size, 16, qkv, lengths, probabilities, dmixed, dqkv);
  if (size.dim == 32) return attention_backward_rows(size, 32, qkv, lengths, probabilities, dmixed, dqkv);
  attention_backward_rows(size, size.dim, qkv, lengths, probabilities, dmixed, dqkv);
}

FATHOM_LEVELS void softmax_rows(std::int64_t rows, std::int64_t n, float scale, float* x) {
  for (std::int64_t r = 0; r < rows; ++r, x += n) {
    float most = x[0], sum = 0;
#pragma omp simd reduction(max : most)
    for (std::int64_t j = 0; j < n; ++j) most = x[j] > most ? x[j] : most;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t j = 0; j < n; ++j) {
      x[j] = exp_negative(scale * (x[j] - most));
      sum += x[j];
    }
    const float inverse = 1.0f / sum;
#pragma omp simd
    for (std::int64_t j = 0; j < n; ++j) x[j] *= inverse;
  }
}

FATHOM_LEVELS void softmax_rows_gradient(std::int64_t rows, std::int64_t n, float scale, const float* p, float* dp) {
  for (std::int64_t r = 0; r < rows; ++r, p += n, dp += n) {
    const float inner = dot(p, dp, n);
#pragma omp simd
    for (std::int64_t j = 0; j < n; ++j) dp[j] = scale * p[j] * (dp[j] - inner);
  }
}

FATHOM_LEVELS void linear_features(std::int64_t count, float* x) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) {
    const float below = exp_negative(x[i] < -30.0f ? -30.0f : x[i] < 0.0f ? x[i] : 0.0f);
    x[i] = x[i] > 0.0f ? x[i] + 1.0f : below;
  }
}

FATHOM_LEVELS void linear_features_gradient(std::int64_t count, const float* phi, float* dphi) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) dphi[i] *= phi[i] < 1.0f ? phi[i] : 1.0f;
}

FATHOM_LEVELS void adam_update(const AdamStep& step, std::int64_t count, const float* gradient, float* value,
                               float* first, float* second) {
  const float keep = 1.0f - step.rate * step.decay, rate = step.rate / step.correction1;
  const float scale2 = 1.0f / step.correction2;
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) {
    const float g = gradient[i] * step.gradient_scale;
    first[i] = step.beta1 * first[i] + (1.0f - step.beta1) * g;
    second[i] = step.beta2 * second[i] + (1.0f - step.beta2) * g * g;
    value[i] = keep * value[i] - rate * first[i] / (std::sqrt(second[i] * scale2) + step.epsilon);
  }
}

FATHOM_LEVELS double sum_of_squares(std::int64_t count, const float* x) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < count; ++i) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  return sum;
}

}  // namespace fathom::train
