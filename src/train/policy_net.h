// The LSTM policy in LibTorch, exactly the arithmetic of docs/formats/bundle.md, and its warm start: cloning of the
// stable depth. Two logits a step: stop at this exit; skip this layer (open loop).
// Input sequences are exits 1..layers-1 with their six signals and observed = 1 (closed loop), or zeros with depth
// only and observed = 0 (open loop). Thread rule: one module, one thread. Source: paper 3.1.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "model/spec.h"
#include "train/torch.h"

namespace fathom::train {

class PolicyNet : public torch::nn::Module {
 public:
  // `start`: policy inputs [n, 2 c2 + 1] whose mean and deviation set the scale of the first Linear (may be undefined).
  PolicyNet(const ModelSpec& spec, const torch::Tensor& start, std::uint64_t seed);

  struct Output {
    torch::Tensor logits;  // [n, steps, 2]: stop, skip
    torch::Tensor states;  // [n, steps, H]
  };
  Output forward(const torch::Tensor& start, const torch::Tensor& steps) const;  // [n, 2 c2 + 1], [n, steps, 7]

  std::map<std::string, torch::Tensor> named_weights() const;  // policy.* of model/names.h
  void add_to_stop_bias(double value);

 private:
  torch::Tensor init_w_, init_b_, ih_w_, hh_w_, bias_, out_w_, out_b_;
};

// [n, exits, 7] of signals [n, exits, 6] with observed = 1.
torch::Tensor closed_inputs(const torch::Tensor& signals);
// [n, steps, 7]: zeros but depth = l / layers.
torch::Tensor open_inputs(std::int64_t n, int steps, int layers);

struct CloneSettings {
  int epochs = 20, batch = 256;
  double rate = 5e-3, weight_decay = 1e-2;
  double drop_signals = 0.3;  // share of rows whose whole sequence is open loop
  std::uint64_t seed = 1;
};

// Behaviour cloning on the rows of `train`: stop target 1[l >= depth], skip target 1[l > depth], BCE, cosine.
std::shared_ptr<PolicyNet> clone_policy(const ModelSpec& spec, const torch::Tensor& start, const torch::Tensor& signals,
                                        const torch::Tensor& depth, const torch::Tensor& train,
                                        const CloneSettings& settings);

}  // namespace fathom::train
