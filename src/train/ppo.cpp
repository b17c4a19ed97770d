#include "train/ppo.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/random.h"
#include "train/adamw.h"

namespace fathom::train {

using torch::Tensor;

void advantages_of(std::span<const double> rewards, std::span<const double> values, double gamma, double trace,
                   std::span<double> advantages) {
  double next_value = 0, next_advantage = 0;
  for (std::size_t t = rewards.size(); t-- > 0;) {
    const double surprise = rewards[t] + gamma * next_value - values[t];
    next_advantage = surprise + gamma * trace * next_advantage;
    advantages[t] = next_advantage;
    next_value = values[t];
  }
}

namespace {

struct Rollout {
  Tensor alive, actions, log_probability, advantages, returns;  // [n, exits] float
  double mean_return = 0, mean_depth = 0;
};

// Rewards of one row that stops at step `stop` (0-based; `exits` when it runs to the end).
void rewards_of(const float* agree, const float* harm, const float* divergence, std::int64_t exits, std::int64_t stop,
                double price, const PpoSettings& s, std::vector<double>& rewards) {
  const double layer = price / static_cast<double>(exits + 1);
  const auto potential = [&](std::int64_t t) { return -s.shaping * std::min(4.0, static_cast<double>(divergence[t])); };
  rewards.clear();
  for (std::int64_t t = 0; t < std::min(stop + 1, exits); ++t) {
    double r = -potential(t);
    if (t == stop) {
      r += static_cast<double>(agree[t]) - s.kappa * static_cast<double>(harm[t]) - (t > 0 ? s.smoothness : 0.0);
    } else {
      r -= layer;
      r += t + 1 < exits ? potential(t + 1) : 1.0;  // the last exit agrees with itself, its potential is 0
    }
    rewards.push_back(r);
  }
}

Rollout roll(const Tensor& logits, const Tensor& values, const ExitWorld& world, double price, const PpoSettings& s,
             std::uint64_t round) {
  const std::int64_t n = logits.size(0), exits = logits.size(1);
  const auto stop_p = torch::sigmoid(logits).contiguous(), v = values.to(torch::kDouble).contiguous();
  Rollout out;
  for (auto* t : {&out.alive, &out.actions, &out.advantages, &out.returns}) *t = torch::zeros({n, exits});
  Random random(s.seed, "ppo.actions", round);
  std::vector<double> rewards, advantages;
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t row = i * exits;
    std::int64_t stop = exits;
    for (std::int64_t t = 0; t < exits; ++t) {
      const bool now = random.chance(stop_p.data_ptr<float>()[row + t]);
      if (now && stop == exits) stop = t;  // every step draws, so a row's numbers do not move its neighbours'
    }
    rewards_of(world.agree.data_ptr<float>() + row, world.harm.data_ptr<float>() + row,
               world.divergence.data_ptr<float>() + row, exits, stop, price, s, rewards);
    advantages.resize(rewards.size());
    const std::span<const double> of_row(v.data_ptr<double>() + row, rewards.size());
    advantages_of(rewards, of_row, 1.0, s.trace, advantages);
    for (std::size_t t = 0; t < rewards.size(); ++t) {
      const auto at = row + static_cast<std::int64_t>(t);
      out.alive.data_ptr<float>()[at] = 1;
      out.actions.data_ptr<float>()[at] = static_cast<std::int64_t>(t) == stop ? 1.0f : 0.0f;
      out.advantages.data_ptr<float>()[at] = static_cast<float>(advantages[t]);
      out.returns.data_ptr<float>()[at] = static_cast<float>(advantages[t] + of_row[t]);
      out.mean_return += rewards[t] / static_cast<double>(n);
    }
    out.mean_depth += static_cast<double>(stop + 1) / static_cast<double>((exits + 1) * n);
  }
  const auto sign = 2 * out.actions - 1;
  out.log_probability = torch::log_sigmoid(sign * logits);
  const auto count = out.alive.sum(), mean = (out.advantages * out.alive).sum() / count;
  const auto deviation = torch::sqrt((torch::pow(out.advantages - mean, 2) * out.alive).sum() / count + 1e-8);
  out.advantages = (out.advantages - mean) / deviation * out.alive;
  return out;
}

}  // namespace

PpoFacts ppo_exits(PolicyNet& net, const ExitWorld& all, const Tensor& train, const PpoSettings& s) {
  ExitWorld world;
  world.start = all.start.index_select(0, train);
  world.inputs = all.inputs.index_select(0, train);
  world.agree = all.agree.index_select(0, train).contiguous();
  world.harm = all.harm.index_select(0, train).contiguous();
  world.divergence = all.divergence.index_select(0, train).contiguous();
  const std::int64_t n = train.size(0),
                     width = net.forward(world.start.narrow(0, 0, 1), world.inputs.narrow(0, 0, 1)).states.size(2);
  auto value_w = torch::zeros({1, width}).set_requires_grad(true), value_b = torch::zeros({1}).set_requires_grad(true);
  auto parameters = net.parameters();
  parameters.push_back(value_w);
  parameters.push_back(value_b);
  const FlatParameters flat(parameters);
  SmallAdamW optimizer(flat, 0.0);
  PpoFacts facts;
  facts.price = s.price;
  for (int round = 0; round < s.rounds; ++round) {
    Rollout rollout;
    {
      torch::NoGradGuard no_grad;
      const auto out = net.forward(world.start, world.inputs);
      const auto values = torch::linear(out.states, value_w, value_b).squeeze(2);
      rollout = roll(out.logits.select(2, 0), values, world, facts.price, s, static_cast<std::uint64_t>(round));
    }
    facts.price = std::max(0.0, facts.price + 0.2 * (rollout.mean_depth - s.target_depth));
    if (round == 0) facts.first_return = rollout.mean_return;
    facts.last_return = rollout.mean_return;
    facts.last_depth = rollout.mean_depth;
    for (int epoch = 0; epoch < s.epochs; ++epoch) {
      const auto order =
          torch::tensor(shuffled(n, s.seed, "ppo.order", static_cast<std::uint64_t>(round * s.epochs + epoch)));
      for (std::int64_t at = 0; at < n; at += s.batch) {
        const auto rows = order.narrow(0, at, std::min<std::int64_t>(s.batch, n - at));
        const auto pick = [&](const Tensor& t) { return t.index_select(0, rows); };
        optimizer.zero();
        const auto out = net.forward(pick(world.start), pick(world.inputs));
        const auto logits = out.logits.select(2, 0), alive = pick(rollout.alive), actions = pick(rollout.actions);
        const auto values = torch::linear(out.states, value_w, value_b).squeeze(2);
        const auto ratio = torch::exp(torch::log_sigmoid((2 * actions - 1) * logits) - pick(rollout.log_probability));
        const auto advantage = pick(rollout.advantages), count = alive.sum();
        const auto gain = torch::min(ratio * advantage, ratio.clamp(1 - s.clip, 1 + s.clip) * advantage);
        const auto p = torch::sigmoid(logits);
        const auto entropy = torch::softplus(logits) - p * logits;
        const auto loss =
            ((-gain - s.entropy * entropy + s.value_weight * torch::pow(values - pick(rollout.returns), 2)) * alive)
                .sum() /
            count;
        loss.backward();
        // The first round only teaches the value head: an untrained baseline would undo the cloning.
        if (round == 0) {
          for (auto& p0 : net.parameters()) p0.mutable_grad().zero_();
        }
        optimizer.step(s.rate, 0.5);
      }
    }
  }
  return facts;
}

}  // namespace fathom::train
