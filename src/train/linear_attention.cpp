#include "train/linear_attention.h"

#include <algorithm>
#include <vector>

#include "train/loops.h"

namespace fathom::train {
namespace {

// to = phi(x), and its derivative by x: 1 above 0, phi(x) itself below (at the floor e^-30, which stands for 0).
FATHOM_INLINE void features(const float* x, std::int64_t dim, float* to) {
#pragma omp simd
  for (std::int64_t d = 0; d < dim; ++d) {
    const float below = exp_negative(x[d] < -30.0f ? -30.0f : x[d] < 0.0f ? x[d] : 0.0f);
    to[d] = x[d] > 0.0f ? x[d] + 1.0f : below;
  }
}

// dx = dphi * phi'(x), given phi(x).
FATHOM_INLINE void through_features(const float* x, const float* phi, const float* dphi, std::int64_t dim, float* dx) {
#pragma omp simd
  for (std::int64_t d = 0; d < dim; ++d) dx[d] = x[d] > 0.0f ? dphi[d] : dphi[d] * phi[d];
}

// `dim` comes a second time, as a constant where it is a usual one: its loops are unrolled then.
FATHOM_INLINE void forward_rows(const AttentionSize& size, const std::int64_t dim, const float* qkv, const std::int64_t* lengths, float* states,
                                float* mixed) {
  const std::int64_t hidden = size.heads * dim, stride = 3 * hidden;
  std::vector<float> phi(static_cast<std::size_t>(dim));
  float* f = phi.data();
  std::fill(mixed, mixed + size.batch * size.tokens * hidden, 0.0f);
  for (std::int64_t b = 0; b < size.batch; ++b) {
    for (std::int64_t head = 0; head < size.heads; ++head) {
      float *s = states + (b * size.heads + head) * dim * (dim + 1), *z = s + dim * dim;
      std::fill(s, z + dim, 0.0f);
      const float* q = qkv + b * size.tokens * stride + head * dim;
      const float *k = q + hidden, *v = k + hidden;
      for (std::int64_t j = 0; j < lengths[b]; ++j) {
        features(k + j * stride, dim, f);
        add_scaled(z, 1.0f, f, dim);
        for (std::int64_t d = 0; d < dim; ++d) add_scaled(s + d * dim, f[d], v + j * stride, dim);
      }
      for (std::int64_t i = 0; i < lengths[b]; ++i) {
        features(q + i * stride, dim, f);
        const float inverse = 1.0f / dot(f, z, dim);
        float* out = mixed + (b * size.tokens + i) * hidden + head * dim;
        for (std::int64_t d = 0; d < dim; ++d) add_scaled(out, inverse * f[d], s + d * dim, dim);
      }
    }
  }
}

// With N_i = phi(q_i) S, D_i = phi(q_i) . z and out_i = N_i / D_i: dN_i = g_i / D_i and dD_i = -(g_i . out_i) / D_i.
FATHOM_INLINE void backward_rows(const AttentionSize& size, const std::int64_t dim, const float* qkv, const std::int64_t* lengths, const float* states,
                                 const float* mixed, const float* dmixed, float* dqkv) {
  const std::int64_t hidden = size.heads * dim, stride = 3 * hidden;
  std::vector<float> scratch(static_cast<std::size_t>(dim * (dim + 4)));
  float *ds = scratch.data(), *dz = ds + dim * dim, *f = dz + dim, *df = f + dim, *dn = df + dim;
  std::fill(dqkv, dqkv + size.batch * size.tokens * stride, 0.0f);
  for (std::int64_t b = 0; b < size.batch; ++b) {
    for (std::int64_t head = 0; head < size.heads; ++head) {
      const float *s = states + (b * size.heads + head) * dim * (dim + 1), *z = s + dim * dim;
      const std::int64_t base = b * size.tokens * stride + head * dim;
      const float *q = qkv + base, *k = q + hidden, *v = k + hidden;
      float *dq = dqkv + base, *dk = dq + hidden, *dv = dk + hidden;
      std::fill(ds, dz + dim, 0.0f);
      for (std::int64_t i = 0; i < lengths[b]; ++i) {
        const std::int64_t at = (b * size.tokens + i) * hidden + head * dim;
        features(q + i * stride, dim, f);
        const float inverse = 1.0f / dot(f, z, dim), dd = -inverse * dot(dmixed + at, mixed + at, dim);
        for (std::int64_t e = 0; e < dim; ++e) dn[e] = inverse * dmixed[at + e];
        for (std::int64_t d = 0; d < dim; ++d) {
          df[d] = dot(s + d * dim, dn, dim) + z[d] * dd;
          add_scaled(ds + d * dim, f[d], dn, dim);
        }
        add_scaled(dz, dd, f, dim);
        through_features(q + i * stride, f, df, dim, dq + i * stride);
      }
      for (std::int64_t j = 0; j < lengths[b]; ++j) {
        features(k + j * stride, dim, f);
        for (std::int64_t d = 0; d < dim; ++d) {
          df[d] = dot(ds + d * dim, v + j * stride, dim) + dz[d];
          add_scaled(dv + j * stride, f[d], ds + d * dim, dim);
        }
        through_features(k + j * stride, f, df, dim, dk + j * stride);
      }
    }
  }
}

}  // namespace

FATHOM_LEVELS void linear_attention_forward(AttentionSize size, const float* qkv, const std::int64_t* lengths, float* states, float* mixed) {
  if (size.dim == 16) return forward_rows(size, 16, qkv, lengths, states, mixed);
  if (size.dim == 32) return forward_rows(size, 32, qkv, lengths, states, mixed);
  forward_rows(size, size.dim, qkv, lengths, states, mixed);
}

FATHOM_LEVELS void linear_attention_backward(AttentionSize size, const float* qkv, const std::int64_t* lengths, const float* states, const float* mixed,
                                             const float* dmixed, float* dqkv) {
  if (size.dim == 16) return backward_rows(size, 16, qkv, lengths, states, mixed, dmixed, dqkv);
  if (size.dim == 32) return backward_rows(size, 32, qkv, lengths, states, mixed, dmixed, dqkv);
  backward_rows(size, size.dim, qkv, lengths, states, mixed, dmixed, dqkv);
}

}  // namespace fathom::train
