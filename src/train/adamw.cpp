#include "train/adamw.h"

#include <cmath>
#include <numeric>

#include "base/random.h"

namespace fathom::train {

using torch::Tensor;

SmallAdamW::SmallAdamW(const FlatParameters& parameters, double weight_decay, double beta2)
    : parameters_(parameters), beta2_(beta2) {
  decay_ = torch::zeros_like(parameters.values());
  first_ = torch::zeros_like(decay_);
  second_ = torch::zeros_like(decay_);
  for (const auto& range : parameters.ranges()) {
    if (range.decays) decay_.narrow(0, range.begin, range.end - range.begin).fill_(weight_decay);
  }
}

void SmallAdamW::zero() { parameters_.gradients().zero_(); }

void SmallAdamW::step(double rate, double clip) {
  torch::NoGradGuard no_grad;
  constexpr double kBeta1 = 0.9, kEpsilon = 1e-8;
  const auto gradients = parameters_.gradients();
  if (clip > 0) {
    const double norm = gradients.norm().item<double>();
    if (norm > clip) gradients.mul_(clip / norm);
  }
  ++steps_;
  const double correct1 = 1 - std::pow(kBeta1, steps_), correct2 = 1 - std::pow(beta2_, steps_);
  first_.mul_(kBeta1).add_(gradients, 1 - kBeta1);
  second_.mul_(beta2_).addcmul_(gradients, gradients, 1 - beta2_);
  auto values = parameters_.values();
  values.addcmul_(values, decay_, -rate);
  values.addcdiv_(first_, (second_ / correct2).sqrt_().add_(kEpsilon), -rate / correct1);
}

Tensor SmallAdamW::snapshot() const { return torch::stack({parameters_.values(), first_, second_}); }

bool SmallAdamW::restore(const Tensor& snapshot, long steps) {
  if (snapshot.dim() != 2 || snapshot.size(0) != 3 || snapshot.size(1) != first_.size(0)) return false;
  torch::NoGradGuard no_grad;
  auto values = parameters_.values();
  values.copy_(snapshot[0]);
  first_.copy_(snapshot[1]);
  second_.copy_(snapshot[2]);
  steps_ = steps;
  return true;
}

Tensor random_uniform(std::vector<std::int64_t> shape, double bound, std::uint64_t seed, const std::string& name) {
  auto out = torch::empty(shape);
  Random random(seed, name);
  float* data = out.data_ptr<float>();
  for (std::int64_t i = 0; i < out.numel(); ++i) data[i] = static_cast<float>((2 * random.uniform() - 1) * bound);
  return out;
}

std::vector<std::int64_t> shuffled(std::int64_t n, std::uint64_t seed, const std::string& name, std::uint64_t round) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  Random random(seed, name, round);
  random.shuffle(order);
  return order;
}

}  // namespace fathom::train
