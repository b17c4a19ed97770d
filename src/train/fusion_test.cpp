#include "train/fusion.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"
#include "train/adamw.h"

namespace fathom::train {
namespace {

using torch::Tensor;

TEST(Fusion, RecoversKnownWeights) {
  const std::int64_t n = 30000, exits = 3;
  const double weights[7] = {1.5, -0.8, 0.4, 1.0, -0.5, 0.7, 0.3}, bias[3] = {-1.0, 0.2, 0.9};
  const auto inputs = random_uniform({n, exits, 7}, 2.0, 1, "inputs").to(torch::kDouble);
  auto target = torch::empty({n, exits}, torch::kDouble);
  Random random(9);
  const double* x = inputs.data_ptr<double>();
  for (std::int64_t i = 0; i < n * exits; ++i, x += 7) {
    double z = bias[i % exits];
    for (int j = 0; j < 7; ++j) z += weights[j] * x[j];
    target.data_ptr<double>()[i] = random.chance(1 / (1 + std::exp(-z))) ? 1.0 : 0.0;
  }
  const auto fusion = fit_fusion(inputs, target);
  for (std::size_t j = 0; j < 7; ++j) EXPECT_NEAR(fusion.weights[j], weights[j], 0.05) << j;
  for (std::size_t e = 0; e < 3; ++e) EXPECT_NEAR(fusion.bias[e], bias[e], 0.06) << e;
}

TEST(Fusion, StaysFiniteWhenAnExitHasOneClass) {
  const auto inputs = random_uniform({500, 2, 7}, 2.0, 2, "inputs").to(torch::kDouble);
  auto target = (inputs.select(2, 0) > 0).to(torch::kDouble);  // separable, and the last exit always agrees
  target.select(1, 1).fill_(1);
  const auto fusion = fit_fusion(inputs, target);
  for (const float w : fusion.weights) EXPECT_TRUE(std::isfinite(w));
  for (const float b : fusion.bias) EXPECT_TRUE(std::isfinite(b));
  EXPECT_GT(fusion.weights[0], 1.0f);
}

TEST(Fusion, TemperatureUndoesAScale) {
  const std::int64_t n = 20000;
  const auto honest = random_uniform({n, 1, 4}, 2.5, 3, "logits");
  auto labels = torch::empty({n}, torch::kLong);
  Random random(4);
  const auto p = torch::softmax(honest, 2);
  for (std::int64_t i = 0; i < n; ++i) {
    double u = random.uniform();
    std::int64_t c = 0;
    while (c < 3 && (u -= p[i][0][c].item<double>()) > 0) ++c;
    labels[i] = c;
  }
  EXPECT_NEAR(fit_temperatures(honest * 3.0, labels)[0], 3.0, 0.15);
  EXPECT_NEAR(fit_temperatures(honest * 0.5, labels)[0], 0.5, 0.03);
}

TEST(Fusion, InputsAreTheEnginesOwnSumOfEvidence) {
  const auto signals = random_uniform({4, 2, 6}, 1.0, 5, "signals");
  const auto survival = torch::rand({4, 2}, torch::kDouble), stop = random_uniform({4, 2}, 2.0, 6, "stop");
  policy::Fusion fusion;
  fusion.weights = {0.9f, -0.2f, 0.3f, 0.5f, -0.7f, 0.4f, 0.1f};
  fusion.bias = {0.3f, -0.4f};
  const auto z = fused_logits(fusion, fusion_inputs(signals, survival, stop));
  for (int i = 0; i < 4; ++i) {
    for (int e = 0; e < 2; ++e) {
      policy::Signals s;
      s.confidence_logit = signals[i][e][0].item<float>();
      s.margin = signals[i][e][1].item<float>();
      s.entropy = signals[i][e][2].item<float>();
      s.agrees = signals[i][e][3].item<float>();
      s.divergence = signals[i][e][4].item<float>();
      const float score = policy::fused_score(fusion, s, survival[i][e].item<float>(), stop[i][e].item<float>(), e + 1);
      EXPECT_NEAR(1 / (1 + std::exp(-z[i][e].item<double>())), score, 1e-5);
    }
  }
}

TEST(Fusion, PointStopsBeforeTheFirstFailure) {
  Evidence evidence;
  evidence.layers = 2;
  evidence.predictions =
      torch::tensor({1, 1, 1, 1, 0, 1, 1, 1}, torch::kLong).view({4, 2});  // the third row's exit 1 disagrees
  evidence.full_macs = torch::full({4}, 10.0, torch::kDouble);
  for (auto& m : evidence.macs) m = torch::tensor({5.0, 10.0}, torch::kDouble).expand({4, 2}).contiguous();
  const auto scores = torch::tensor({0.9f, 0.8f, 0.7f, 0.6f}).view({4, 1});
  const Point point = point_at_budget(evidence, scores, policy::Score::confidence, 0.0);
  EXPECT_FLOAT_EQ(static_cast<float>(point.lambda), 0.8f);
  EXPECT_DOUBLE_EQ(point.saved, 0.25);
  EXPECT_DOUBLE_EQ(point.mean_exit, 1.5);
  EXPECT_DOUBLE_EQ(point_at_budget(evidence, scores, policy::Score::confidence, 0.3).saved, 0.5);
}

}  // namespace
}  // namespace fathom::train
