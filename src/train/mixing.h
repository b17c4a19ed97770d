// Attention of a whole padded batch, forward and backward, behind one pair of functions: softmax over windows and short
// texts (layer_kernels.h), which keeps its weights; softmax over long texts, whose weights are made a block of rows at
// a time, and again for the gradient; linear attention, which has no weights to keep. For long texts memory grows with
// the length, never with its square.
#pragma once

#include "train/layer_kernels.h"
#include "train/torch.h"

namespace fathom::train {

struct Mixing {
  torch::Tensor out;            // [batch * tokens, heads * dim]; what stands behind an input's length means nothing
  torch::Tensor probabilities;  // for the gradient; undefined where none are kept
};

// qkv [batch * tokens, 3 * heads * dim], lengths [batch] int64.
Mixing mix(const AttentionSize& size, bool linear, const torch::Tensor& qkv, const torch::Tensor& lengths);
torch::Tensor mix_gradient(const AttentionSize& size, bool linear, const torch::Tensor& qkv,
                           const torch::Tensor& lengths, const Mixing& mixing,
                           const torch::Tensor& dmixed);  // of qkv

inline constexpr std::int64_t kLongTokens =
    256;  // from here on blocks of rows are quicker than rows, and weights too many to keep

}  // namespace fathom::train
