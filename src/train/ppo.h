// PPO for the closed loop: the LSTM decides {continue, stop} after every exit of a frozen model, so that one full pass
// per row gives every reward and a rollout needs no trunk. Hierarchical reward: at the end agreement with full depth
// minus kappa * harm, per step the price of the layer, potential-based shaping (potential: -KL of this exit to the
// last, 0 after the end; it leaves the optimum unchanged), and smoothness. The price follows a target mean depth by
// dual ascent. gamma 1, GAE .95, clip .2, a value head beside the LSTM. Deterministic. Source: paper 1.3 and 3.2 (PPO,
// hierarchical reward).
#pragma once

#include <cstdint>
#include <span>

#include "train/policy_net.h"

namespace fathom::train {

// Generalised advantage estimates of one episode: rewards and values of its steps; the value after the end is 0.
void advantages_of(std::span<const double> rewards, std::span<const double> values, double gamma, double trace,
                   std::span<double> advantages);

struct ExitWorld {
  torch::Tensor start, inputs;  // [n, 2 c2 + 1], [n, exits, 7]
  torch::Tensor agree, harm;    // [n, exits] float: this exit agrees with the last; it is wrong where the last is right
  torch::Tensor divergence;     // [n, exits] float: KL(last || this exit)
};

struct PpoSettings {
  int rounds = 12, epochs = 4, batch = 1024;
  double rate = 5e-4, clip = 0.2, trace = 0.95, value_weight = 0.5, entropy = 0.005, kappa = 2.0;
  double smoothness = 0.01, shaping = 0.1, price = 0.1;
  double target_depth = 0.5;  // mean share of layers that run
  std::uint64_t seed = 1;
};

struct PpoFacts {
  double first_return = 0, last_return = 0, last_depth = 0, price = 0;
};

// Improves `net` in place on the rows of `train`.
PpoFacts ppo_exits(PolicyNet& net, const ExitWorld& world, const torch::Tensor& train, const PpoSettings& settings);

}  // namespace fathom::train
