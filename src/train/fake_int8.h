// Fake quantization in training: the numbers that the engine's int8 keeps, in float32; gradients pass as if nothing
// were rounded (the straight-through estimator, Bengio et al. 2013; nothing is cut off, for ranges are those of the
// numbers themselves). One thread each.
#pragma once

#include "train/torch.h"

namespace fathom::train {

torch::Tensor fake_int8_rows(const torch::Tensor& x, int levels);  // activations [.., width]; kernels/table.h
torch::Tensor fake_int8_weights(const torch::Tensor& weights);  // [.., width], a scale for each row; kernels/packing.h

}  // namespace fathom::train
