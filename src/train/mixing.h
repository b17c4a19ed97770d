// Attention of a whole padded batch, forward and backward, behind one pair of functions: linear (linear_attention.h); softmax over
// windows and short texts (layer_kernels.h), which keeps its weights; softmax over long texts, whose weights are made a block of rows
// at a time and made again for the gradient. Memory grows with the length, never with its square.
#pragma once

#include "train/layer_kernels.h"
#include "train/torch.h"

namespace fathom::train {

struct Mixing {
  torch::Tensor out;   // [batch * tokens, heads * dim]; zeros behind an input's length
  torch::Tensor kept;  // for the gradient; undefined where nothing is
};

// qkv [batch * tokens, 3 * heads * dim], lengths [batch] int64.
Mixing mix(const AttentionSize& size, const torch::Tensor& qkv, const torch::Tensor& lengths);
torch::Tensor mix_gradient(const AttentionSize& size, const torch::Tensor& qkv, const torch::Tensor& lengths, const Mixing& mixing,
                           const torch::Tensor& dmixed);  // of qkv

inline constexpr std::int64_t kLongTokens = 256;  // from here on blocks of rows are quicker than rows, and weights too many to keep

}  // namespace fathom::train
