#include "train/policy_net.h"

#include <gtest/gtest.h>

#include <cmath>

#include "model/names.h"
#include "train/adamw.h"
#include "train/ppo.h"

namespace fathom::train {
namespace {

using torch::Tensor;

ModelSpec small() {
  ModelSpec spec;
  spec.layers = 4;
  spec.extractor.c2 = 2;
  spec.policy_hidden = 3;
  return spec;
}

// One thread: tensors this small only wait for each other on two.
[[maybe_unused]] const bool kOneThread = (at::set_num_threads(1), true);

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

TEST(PolicyNet, EqualsTheStatedArithmetic) {
  const auto spec = small();
  const PolicyNet net(spec, {}, 7);
  torch::NoGradGuard no_grad;
  const auto start = random_uniform({1, 5}, 1.0, 1, "start"),
             steps = random_uniform({1, 3, kPolicyInputs}, 2.0, 1, "steps");
  const auto got = net.forward(start, steps).logits;
  const auto weights = net.named_weights();
  const auto at = [&](const char* name, int row, int column) { return weights.at(name)[row][column].item<double>(); };
  const auto bias = [&](const char* name, int row) { return weights.at(name)[row].item<double>(); };
  double h[3], c[3] = {0, 0, 0};
  for (int i = 0; i < 3; ++i) {
    double sum = bias("policy.init.bias", i);
    for (int j = 0; j < 5; ++j) sum += at("policy.init.weight", i, j) * start[0][j].item<double>();
    h[i] = std::tanh(sum);
  }
  for (int t = 0; t < 3; ++t) {
    double gate[12];
    for (int g = 0; g < 12; ++g) {
      gate[g] = bias("policy.lstm.bias", g);
      for (int j = 0; j < kPolicyInputs; ++j)
        gate[g] += at("policy.lstm.weight_ih", g, j) * steps[0][t][j].item<double>();
      for (int j = 0; j < 3; ++j) gate[g] += at("policy.lstm.weight_hh", g, j) * h[j];
    }
    for (int i = 0; i < 3; ++i) {  // gates stand in the order input, forget, cell, output
      c[i] = sigmoid(gate[3 + i]) * c[i] + sigmoid(gate[i]) * std::tanh(gate[6 + i]);
      h[i] = sigmoid(gate[9 + i]) * std::tanh(c[i]);
    }
    for (int o = 0; o < 2; ++o) {
      double sum = bias("policy.out.bias", o);
      for (int i = 0; i < 3; ++i) sum += at("policy.out.weight", o, i) * h[i];
      EXPECT_NEAR(got[0][t][o].item<double>(), sum, 1e-5) << t << " " << o;
    }
  }
}

// The one-node LSTM's gradients against finite differences.
TEST(PolicyNet, GradientsEqualFiniteDifferences) {
  const auto spec = small();
  PolicyNet net(spec, {}, 11);
  const auto start = random_uniform({2, 5}, 1.0, 3, "start"),
             steps = random_uniform({2, 3, kPolicyInputs}, 1.0, 3, "steps");
  const auto weight = random_uniform({2, 3, 2}, 1.0, 3, "weight");
  const auto loss = [&] { return (net.forward(start, steps).logits * weight).sum(); };
  loss().backward();
  torch::NoGradGuard no_grad;
  for (auto& p : net.parameters()) {
    auto flat = p.view({-1});
    const auto gradient = p.grad().reshape({-1});
    for (std::int64_t i = 0; i < flat.size(0); i += 5) {
      const float value = flat[i].item<float>(), step = 1e-2f;
      flat[i] = value + step;
      const double up = loss().item<double>();
      flat[i] = value - step;
      const double down = loss().item<double>();
      flat[i] = value;
      EXPECT_NEAR(gradient[i].item<double>(), (up - down) / (2 * static_cast<double>(step)), 3e-3);
    }
  }
}

TEST(PolicyNet, CloningLearnsAVisibleDepthAndIsDeterministic) {
  const auto spec = small();
  const std::int64_t n = 600;
  auto start = random_uniform({n, 5}, 1.0, 2, "start");
  auto depth = torch::empty({n}, torch::kLong);
  for (std::int64_t i = 0; i < n; ++i)
    depth[i] = std::min<std::int64_t>(4, 1 + static_cast<std::int64_t>((start[i][0].item<double>() + 1) * 2));
  const auto signals = torch::zeros({n, 3, 6});
  CloneSettings settings;
  settings.epochs = 60;
  settings.batch = 64;
  const auto train = torch::arange(400), held = torch::arange(400, n);
  const auto net = clone_policy(spec, start, signals, depth, train, settings);
  torch::NoGradGuard no_grad;
  const auto stop =
      net->forward(start.index_select(0, held), closed_inputs(signals.index_select(0, held))).logits.select(2, 0) > 0;
  const auto target = torch::arange(1, 4).unsqueeze(0) >= depth.index_select(0, held).unsqueeze(1);
  EXPECT_GT(stop.eq(target).to(torch::kDouble).mean().item<double>(), 0.9);
  torch::AutoGradMode grad(true);
  const auto again = clone_policy(spec, start, signals, depth, train, settings);
  for (const auto& [name, tensor] : net->named_weights())
    EXPECT_TRUE(torch::equal(tensor, again->named_weights().at(name))) << name;
}

TEST(Ppo, AdvantagesEqualTheSumWrittenOut) {
  const double rewards[] = {-0.1, 0.2, 1.0}, values[] = {0.5, 0.4, 0.3};
  double got[3];
  advantages_of(rewards, values, 1.0, 0.95, got);
  const double d2 = 1.0 - 0.3, d1 = 0.2 + 0.3 - 0.4, d0 = -0.1 + 0.4 - 0.5;
  EXPECT_NEAR(got[2], d2, 1e-12);
  EXPECT_NEAR(got[1], d1 + 0.95 * d2, 1e-12);
  EXPECT_NEAR(got[0], d0 + 0.95 * d1 + 0.95 * 0.95 * d2, 1e-12);
}

// Exit 2 always agrees, exit 1 never does: from a policy that knows nothing PPO must learn to go past exit 1 and stop
// at 2.
TEST(Ppo, LearnsWhereToStop) {
  const auto spec = small();
  const std::int64_t n = 512;
  ExitWorld world;
  world.start = torch::zeros({n, 5});
  world.inputs = torch::zeros({n, 3, 7});
  for (std::int64_t l = 0; l < 3; ++l) world.inputs.select(1, l).select(1, 5).fill_(static_cast<float>(l + 1) / 4.0f);
  world.agree = torch::tensor({0.f, 1.f, 1.f}).expand({n, 3}).contiguous();
  world.harm = 1 - world.agree;
  world.divergence = torch::tensor({2.f, 0.f, 0.f}).expand({n, 3}).contiguous();
  PolicyNet net(spec, {}, 3);
  PpoSettings settings;
  settings.rounds = 60;
  settings.rate = 1e-2;
  settings.target_depth = 0.5;
  settings.price = 0.5;
  ppo_exits(net, world, torch::arange(n), settings);
  torch::NoGradGuard no_grad;
  const auto q = net.forward(world.start.narrow(0, 0, 1), world.inputs.narrow(0, 0, 1)).logits.select(2, 0);
  EXPECT_LT(q[0][0].item<double>(), -1);
  EXPECT_GT(q[0][1].item<double>(), q[0][0].item<double>() + 2);
}

}  // namespace
}  // namespace fathom::train
