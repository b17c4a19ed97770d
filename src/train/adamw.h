// AdamW on one flat tensor of values and one of gradients (FlatParameters), for the small modules of the decision.
// Decoupled weight decay, bias-corrected moments; matrices decay, vectors do not. Deterministic, no global state.
// Thread rule: one optimiser, one thread. Source: Loshchilov and Hutter, 2019.
#pragma once

#include "train/backbone.h"
#include "train/torch.h"

namespace fathom::train {

class SmallAdamW {
 public:
  SmallAdamW(const FlatParameters& parameters, double weight_decay, double beta2 = 0.98);
  void zero();                          // gradients to zero
  void step(double rate, double clip);  // clip: largest gradient norm; 0: none

  // Values and both moments, [3, size]: with the step count all that a checkpoint needs.
  torch::Tensor snapshot() const;
  long steps() const { return steps_; }
  // False, and nothing changed, when the size does not fit.
  [[nodiscard]] bool restore(const torch::Tensor& snapshot, long steps);

 private:
  FlatParameters parameters_;
  torch::Tensor decay_, first_, second_;
  double beta2_;
  long steps_ = 0;
};

// Uniform in [-bound, bound] (or normal with bound as deviation) from a named stream: independent of LibTorch's
// generators.
torch::Tensor random_uniform(std::vector<std::int64_t> shape, double bound, std::uint64_t seed,
                             const std::string& name);

// 0..n-1 in an order that is a pure function of (seed, name, round).
std::vector<std::int64_t> shuffled(std::int64_t n, std::uint64_t seed, const std::string& name, std::uint64_t round);

}  // namespace fathom::train
