// Linear attention (model/spec.h) over padded batches for training, forward and backward. What is kept for the gradient is a state
// a head, dim x (dim + 1), whatever the length. One thread; float32; order of sums fixed, so results repeat exactly.
#pragma once

#include "train/layer_kernels.h"

namespace fathom::train {

// qkv [batch, tokens, 3, heads, dim], lengths [batch], states [batch, heads, dim + 1, dim] (S, then z), mixed [batch, tokens, heads, dim].
// Rows behind an input's length give zeros.
void linear_attention_forward(AttentionSize size, const float* qkv, const std::int64_t* lengths, float* states, float* mixed);
void linear_attention_backward(AttentionSize size, const float* qkv, const std::int64_t* lengths, const float* states, const float* mixed,
                               const float* dmixed, float* dqkv);

}  // namespace fathom::train
