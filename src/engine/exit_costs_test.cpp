// What the engine counts while it runs is what policy/exit_costs.h says beforehand: one cost model for the engine, for
// eval's tables and for training's choice of a score.
#include "policy/exit_costs.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "engine/test_requests.h"

namespace fathom::engine {
namespace {

using policy::ExitCosts;
using policy::Score;
using testing::Case;
using testing::Inputs;
using testing::Loaded;

int tokens_of(const ModelSpec& spec, const Inputs& inputs, std::size_t i) {
  return spec.modality == Modality::text ? static_cast<int>(inputs.texts[i].size()) : spec.tokens();
}

void expect_cost(const Prediction& got, const policy::Cost& expected, const std::string& what) {
  EXPECT_NEAR(got.macs, expected.macs, 1e-9 * expected.macs) << what;
  EXPECT_NEAR(got.decision_macs, expected.decision, 1e-9 * expected.macs) << what;
}

// The fused score asks the trees only where they can change the answer: how often, the MACs tell.
void expect_fused(const Prediction& got, ExitCosts& costs, const policy::Policy& policy, int tokens,
                  const std::string& what) {
  const policy::Cost without = costs.adaptive(Score::fused, tokens, got.depth, 0),
                     most = costs.adaptive(Score::fused, tokens, got.depth);
  const double passes = (got.macs - without.macs) / policy.predictor->mean_path();
  EXPECT_NEAR(passes, std::round(passes), 1e-6) << what;
  EXPECT_GE(passes, -1e-6) << what;
  EXPECT_LE(got.macs, most.macs * (1 + 1e-9)) << what;
}

TEST(ExitCosts, AreWhatTheEngineCounts) {
  for (const Case& which : testing::all_cases()) {
    Loaded loaded(which, "", 1);
    const Inputs inputs = testing::random_inputs(which.spec, 12, 21);
    const policy::Policy& policy = loaded.plan->policy();
    ExitCosts costs(which.spec, policy);
    for (int score = 0; score < 4; ++score)
      for (const float lambda : {0.0f, 0.35f, 0.5f, 0.65f, 0.9f, 1.0f, 1.5f}) {
        RunOptions options;
        options.score = score;
        options.lambda = lambda;
        const auto predictions = loaded.run(inputs.batch(), options);
        for (std::size_t i = 0; i < inputs.count; ++i) {
          const int tokens = tokens_of(which.spec, inputs, i), depth = predictions[i].depth;
          const std::string what = which.name + " " + policy::score_name(static_cast<Score>(score)) + " lambda " +
                                   std::to_string(lambda) + " input " + std::to_string(i);
          if (!costs.decides(lambda))
            expect_cost(predictions[i], costs.full(tokens), what);
          else if (static_cast<Score>(score) == Score::fused)
            expect_fused(predictions[i], costs, policy, tokens, what);
          else
            expect_cost(predictions[i], costs.adaptive(static_cast<Score>(score), tokens, depth), what);
        }
      }
  }
}

TEST(ExitCosts, OfFixedDepthAndOfTrajectories) {
  for (const Case& which : testing::all_cases()) {
    Loaded loaded(which, "", 1);
    const Inputs inputs = testing::random_inputs(which.spec, 8, 22);
    ExitCosts costs(which.spec, loaded.plan->policy());
    RunOptions options;
    options.mode = Mode::fixed_exit;
    for (options.exit = 1; options.exit <= which.spec.layers; ++options.exit) {
      const auto predictions = loaded.run(inputs.batch(), options);
      for (std::size_t i = 0; i < inputs.count; ++i)
        expect_cost(predictions[i], costs.fixed(tokens_of(which.spec, inputs, i), options.exit), which.name);
    }
    const auto masks = testing::random_masks(which.spec, inputs.count);
    options.mode = Mode::masks;
    options.masks = masks;
    const auto predictions = loaded.run(inputs.batch(), options);
    for (std::size_t i = 0; i < inputs.count; ++i)
      expect_cost(predictions[i], costs.layers_run(tokens_of(which.spec, inputs, i), std::popcount(masks[i])),
                  which.name);
  }
}

}  // namespace
}  // namespace fathom::engine
