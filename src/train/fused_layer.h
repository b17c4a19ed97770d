// One encoder layer as a single autograd node: matrix products by torch, the rest by layer_kernels.h. Two to three
// times fewer passes over memory than the same layer written in torch operators (which Backbone keeps as the
// reference). Gradients pass the rounding of rows as if it were not there (straight through).
#pragma once

#include "train/torch.h"

namespace fathom::train {

// A of attention may differ from hidden: qkv_w [3 A, hidden], out_w [hidden, A], A a multiple of heads.
struct FusedLayer {
  torch::Tensor norm1_w, norm1_b, qkv_w, qkv_b, out_w, out_b, norm2_w, norm2_b, up_w, up_b, down_w, down_b;
  std::int64_t heads = 1, window = 0;
  bool linear = false;  // attention
  double eps = 1e-12;
  bool pre_norm = false;
  int levels = 0;  // of the int8 rows that the maps read in training (fake_int8.h); 0: rows as they are
};

// h [B, T, hidden]; lengths [B] int64. keep1, keep2: dropout masks [B, T, hidden] already scaled, or undefined.
torch::Tensor run_fused_layer(const FusedLayer& layer, const torch::Tensor& h, const torch::Tensor& lengths,
                              const torch::Tensor& keep1, const torch::Tensor& keep2);

}  // namespace fathom::train
