// Linear attention (model/spec.h) of a padded batch in training: a few batched products, nothing of the length squared.
// Thread rule: pure.
#pragma once

#include "train/layer_kernels.h"
#include "train/torch.h"

namespace fathom::train {

// As mix and mix_gradient (train/mixing.h); size.window is 0.
torch::Tensor linear_attention(const AttentionSize& size, const torch::Tensor& qkv, const torch::Tensor& lengths);
torch::Tensor linear_attention_gradient(const AttentionSize& size, const torch::Tensor& qkv,
                                        const torch::Tensor& lengths, const torch::Tensor& out,
                                        const torch::Tensor& dout);

}  // namespace fathom::train
