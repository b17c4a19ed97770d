// The loops of one encoder layer that are not matrix products, forward and backward, for training: LayerNorm, GELU,
// windowed or full attention over padded batches. One thread; float32; order of sums fixed, so results repeat exactly.
// Compiled for several CPU levels (the best one is taken at run time). Row-major pointers, sizes in elements.
#pragma once

#include <cstdint>

namespace fathom::train {

struct NormSize {
  std::int64_t rows = 0, width = 0;
  float eps = 0;
};
// y = (x - mean) * rstd * weight + bias; mean and rstd [rows] are kept for the gradient.
void norm_forward(NormSize size, const float* x, const float* weight, const float* bias, float* y, float* mean,
                  float* rstd);
// dx = gradient + (add ? add : 0); dweight, dbias [width] are overwritten. dx may be dy.
void norm_backward(NormSize size, const float* dy, const float* x, const float* weight, const float* mean,
                   const float* rstd, const float* add, float* dx, float* dweight, float* dbias);

// y = x Phi(x), Phi by Abramowitz and Stegun 7.1.26 (absolute error of erf < 1.5e-7).
void gelu_forward(std::int64_t count, const float* x, float* y);
void gelu_backward(std::int64_t count, const float* x, const float* dy, float* dx);

// Fake quantization: what the engine's int8 keeps of numbers (kernels/table.h: quantize_rows; kernels/packing.h:
// weights by output channel). y may be x.
//   rows:    scale (q - zero), q in [0, levels], of each row by its own range with 0 in it
//   weights: scale q, q in [-127, 127], of each row by its largest magnitude
void fake_int8_rows(std::int64_t rows, std::int64_t width, int levels, const float* x, float* y);
void fake_int8_weights(std::int64_t rows, std::int64_t width, const float* x, float* y);

void column_sums(std::int64_t rows, std::int64_t width, const float* x, float* sums);

struct AttentionSize {
  std::int64_t batch = 0, tokens = 0, heads = 0, dim = 0;
  std::int64_t window = 0;                                                    // 0: all
  std::int64_t span() const { return window > 0 ? 2 * window + 1 : tokens; }  // probabilities kept for one token
};
// qkv [batch, tokens, 3, heads, dim], lengths [batch], probabilities [batch, heads, tokens, span], mixed [batch,
// tokens, heads, dim]. Rows behind an input's length give zeros.
void attention_forward(AttentionSize size, const float* qkv, const std::int64_t* lengths, float* probabilities,
                       float* mixed);
void attention_backward(AttentionSize size, const float* qkv, const std::int64_t* lengths, const float* probabilities,
                        const float* dmixed, float* dqkv);

// x = softmax(scale * x) of each of `rows` rows of n; and dx = scale * p * (dp - p . dp), over dp.
void softmax_rows(std::int64_t rows, std::int64_t n, float scale, float* x);
void softmax_rows_gradient(std::int64_t rows, std::int64_t n, float scale, const float* p, float* dp);

// Features of linear attention (model/spec.h) in place: x = phi(x); and dx over dphi, given phi(x): phi'(x) is 1 above
// 0 and phi(x) itself below, at the floor e^-30 as well, which is nothing.
void linear_features(std::int64_t count, float* x);
void linear_features_gradient(std::int64_t count, const float* phi, float* dphi);

// One AdamW step on a flat range. `correction1`, `correction2` = 1 - beta^step.
struct AdamStep {
  float rate = 0, decay = 0, beta1 = 0.9f, beta2 = 0.98f, epsilon = 1e-8f, correction1 = 1, correction2 = 1,
        gradient_scale = 1;
};
void adam_update(const AdamStep& step, std::int64_t count, const float* gradient, float* value, float* first,
                 float* second);
double sum_of_squares(std::int64_t count, const float* x);

}  // namespace fathom::train
