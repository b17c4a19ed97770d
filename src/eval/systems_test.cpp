#include "eval/systems.h"

#include <gtest/gtest.h>

#include <bit>

#include "eval/sample_eval.h"

namespace fathom::eval {
namespace {

using policy::Score;
using testing::known_trace;

struct SystemsTest : ::testing::Test {
  ModelSpec spec = testing::small_spec();
  policy::Policy policy = testing::confidence_policy(spec);
  ExitCosts costs{spec, policy};
  Traced traced = known_trace();
  Ledger ledger = ledger_for(spec, 10);
  double static_macs(int exit) const {
    return ledger.embed + exit * ledger.layer + (exit == 4 ? ledger.task_head : ledger.exit_head);
  }
};

TEST_F(SystemsTest, EarlyExitHasExactAnswersDepthsAndCosts) {
  const Outcome out = simulate_exits(traced, costs, Score::confidence, 0.9f, 1);
  EXPECT_EQ(out.depths, (std::vector<std::int32_t>{1, 2, 2, 4}));
  EXPECT_EQ(out.labels, (std::vector<std::int32_t>{1, 1, 0, 0}));
  EXPECT_EQ(out.trajectories, (std::vector<std::uint64_t>{1, 3, 3, 15}));
  EXPECT_DOUBLE_EQ(accuracy(out, traced.trace.labels), 0.5);
  EXPECT_DOUBLE_EQ(mean_depth(out), 9.0 / 4);
  EXPECT_DOUBLE_EQ(out.macs[0], static_macs(1));
  EXPECT_DOUBLE_EQ(out.decision_macs[0], 0);
  EXPECT_DOUBLE_EQ(out.macs[1], static_macs(2) + ledger.exit_head);
  EXPECT_DOUBLE_EQ(out.decision_macs[1], ledger.exit_head);
  EXPECT_DOUBLE_EQ(out.macs[3], static_macs(4) + 3 * ledger.exit_head);
  EXPECT_DOUBLE_EQ(out.decision_macs[3], 3 * ledger.exit_head);
}

TEST_F(SystemsTest, AboveOneNothingIsDecidedNorPaid) {
  const Outcome out = simulate_exits(traced, costs, Score::confidence, 2.0f, 1);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(out.depths[i], 4);
    EXPECT_DOUBLE_EQ(out.macs[i], full_depth_macs(spec, 10));
    EXPECT_EQ(out.decision_macs[i], 0);
  }
}

TEST_F(SystemsTest, PolicyPaysExtractorHeadsAndSteps) {
  const policy::Cost at_two = costs.adaptive(Score::policy, 10, 2);
  EXPECT_DOUBLE_EQ(at_two.decision, ledger.extractor + ledger.policy_init + 2 * ledger.policy_step + ledger.exit_head);
  EXPECT_DOUBLE_EQ(at_two.macs, static_macs(2) + at_two.decision);
  policy.first_exit = 2;  // checkpoint 1 is not evaluated at all
  EXPECT_DOUBLE_EQ(costs.adaptive(Score::policy, 10, 2).decision,
                   ledger.extractor + ledger.policy_init + ledger.policy_step);
  const double no_lstm = costs.adaptive(Score::predictor, 10, 2).decision;
  EXPECT_DOUBLE_EQ(no_lstm, ledger.extractor - 10.0 * 3 * spec.extractor.c1 * spec.extractor.c2);
}

TEST_F(SystemsTest, FixedDepthIsTheShallowestExitThatCostsEnough) {
  const Outcome out = simulate_fixed(traced.trace, costs, 2);
  EXPECT_DOUBLE_EQ(accuracy(out, traced.trace.labels), 0.75);
  EXPECT_EQ(exit_at_macs(traced.trace, costs, static_macs(2)), 2);
  EXPECT_EQ(exit_at_macs(traced.trace, costs, static_macs(2) + 1), 3);
  EXPECT_EQ(exit_at_macs(traced.trace, costs, 1e18), 4);
}

TEST_F(SystemsTest, RivalThresholdCostsAtLeastTheBudgetAndNoCandidateBelowDoes) {
  const double wanted = mean(simulate_exits(traced, costs, Score::confidence, 0.9f, 1).macs);
  const float lambda = lambda_at_macs(traced, costs, Score::confidence, 1, wanted);
  EXPECT_FLOAT_EQ(lambda, 0.91f);  // the smallest score that still gives exits 1, 2, 2, 4: 0.7 stops input 3 at exit 3
  EXPECT_GE(mean(simulate_exits(traced, costs, Score::confidence, lambda, 1).macs), wanted);
  EXPECT_LT(mean(simulate_exits(traced, costs, Score::confidence, 0.7f, 1).macs), wanted);
  EXPECT_EQ(lambda_at_macs(traced, costs, Score::confidence, 1, 1e18), 2.0f);
}

TEST_F(SystemsTest, CurveRisesInMacsAndEndsAtFullDepth) {
  const auto curve = curve_exits(traced, costs, Score::confidence, 1, 50);
  ASSERT_GE(curve.size(), 3u);
  for (std::size_t i = 1; i < curve.size(); ++i) EXPECT_GE(curve[i].macs, curve[i - 1].macs);
  const bool has_full = std::any_of(curve.begin(), curve.end(), [](const Point& p) { return p.lambda == 2.0f; });
  EXPECT_TRUE(has_full);
  EXPECT_EQ(curve_fixed(traced.trace, costs).size(), 4u);
}

TEST(Curves, InterpolateAndIntegrate) {
  const std::vector<Point> curve = {{1, 0.5, 0, 0}, {3, 0.9, 0, 0}};
  EXPECT_DOUBLE_EQ(value_at(curve, 0), 0.5);
  EXPECT_DOUBLE_EQ(value_at(curve, 2), 0.7);
  EXPECT_DOUBLE_EQ(value_at(curve, 9), 0.9);
  EXPECT_DOUBLE_EQ(mean_value(curve, 1, 3), 0.7);
  EXPECT_DOUBLE_EQ(mean_value(curve, 3, 5), 0.9);
}

TEST_F(SystemsTest, RandomMasksMeetTheBudgetAndKeepTheirSeed) {
  const std::vector<std::int32_t> tokens(400, 10);
  const double wanted = costs.layers_run(10, 2).macs + ledger.layer / 4;  // 2.25 layers
  const auto masks = random_masks(tokens, costs, wanted, 7);
  double layers = 0;
  for (const std::uint64_t mask : masks) {
    EXPECT_EQ(mask >> 4, 0u);
    layers += std::popcount(mask);
  }
  EXPECT_NEAR(layers / 400, 2.25, 0.005);
  EXPECT_EQ(masks, random_masks(tokens, costs, wanted, 7));
  EXPECT_NE(masks, random_masks(tokens, costs, wanted, 8));
  for (const std::uint64_t mask : random_masks(tokens, costs, 0, 7)) EXPECT_EQ(std::popcount(mask), 1);
}

TEST(Difference, IntervalHoldsTheMeanAndIsSeeded) {
  Outcome a, b;
  std::vector<std::int32_t> labels(1000, 1);
  a.labels.assign(1000, 1);
  b.labels.assign(1000, 1);
  for (std::size_t i = 0; i < 30; ++i) a.labels[i] = 0;   // a misses 3 %
  for (std::size_t i = 20; i < 40; ++i) b.labels[i] = 0;  // b misses 2 %
  const policy::Interval d = difference(a, b, labels, 5);
  EXPECT_NEAR(d.mean, -0.01, 1e-12);
  EXPECT_LT(d.low, d.mean);
  EXPECT_GT(d.high, d.mean);
  // Variance of the paired difference: (0.02 + 0.01 - 0.01^2) / 1000, its normal interval is +-0.0107.
  EXPECT_NEAR(d.low, -0.0207, 0.002);
  EXPECT_NEAR(d.high, 0.0007, 0.002);
  const policy::Interval same = difference(a, a, labels, 5);
  EXPECT_EQ(same.low, 0);
  EXPECT_EQ(same.high, 0);
}

}  // namespace
}  // namespace fathom::eval
