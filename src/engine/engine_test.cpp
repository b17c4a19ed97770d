// The engine against the double-precision reference, every model kind on every tier of this CPU.
#include "engine/engine.h"

#include <gtest/gtest.h>

#include "engine/reference_forward.h"
#include "engine/test_models.h"
#include "model/ledger.h"
#include "policy/calibrate.h"

namespace fathom::engine {
namespace {

using policy::Score;
using testing::Case;
using testing::Inputs;
using testing::Loaded;

constexpr double kTolerance = 1e-4;
constexpr Score kScores[] = {Score::confidence, Score::predictor, Score::policy, Score::fused};

struct EngineTest : ::testing::TestWithParam<std::tuple<std::size_t, std::string>> {
  Case which = testing::all_cases()[std::get<0>(GetParam())];
  std::string tier = std::get<1>(GetParam());
};

std::string test_name(const ::testing::TestParamInfo<EngineTest::ParamType>& info) {
  return testing::all_cases()[std::get<0>(info.param)].name + "_" + std::get<1>(info.param);
}

INSTANTIATE_TEST_SUITE_P(All, EngineTest,
                         ::testing::Combine(::testing::Range(std::size_t{0}, testing::all_cases().size()),
                                            ::testing::ValuesIn(testing::tiers_here())),
                         test_name);

reference::Rows start(const reference::Forward& forward, const Inputs& inputs, std::size_t i) {
  return inputs.pixels.empty() ? forward.text(inputs.texts[i], inputs.kinds[i])
                               : forward.image(inputs.pixels.data() + i * inputs.picture_bytes);
}

std::vector<reference::Forward::Answer> answers_of(const Loaded& loaded, const Inputs& inputs) {
  const reference::Forward forward{*loaded.model, loaded.plan->policy()};
  std::vector<reference::Forward::Answer> answers;
  for (std::size_t i = 0; i < inputs.count; ++i) answers.push_back(forward.run(start(forward, inputs, i)));
  return answers;
}

TEST_P(EngineTest, TraceMatchesReference) {
  Loaded loaded(which, tier, 1);
  const Inputs inputs = testing::random_inputs(which.spec, 12, 11);
  const auto answers = answers_of(loaded, inputs);
  RunOptions options;
  options.mode = Mode::trace;
  loaded.run(inputs.batch(), options);
  const std::size_t layers = static_cast<std::size_t>(which.spec.layers), classes = 3;
  const auto logits = loaded.session->trace_logits(), norms = loaded.session->trace_norms();
  ASSERT_EQ(logits.size(), inputs.count * layers * classes);
  for (std::size_t i = 0; i < inputs.count; ++i)
    for (std::size_t l = 0; l < layers; ++l) {
      EXPECT_NEAR(norms[i * layers + l], answers[i].norms[l], kTolerance * answers[i].norms[l]);
      for (std::size_t c = 0; c < classes; ++c)
        EXPECT_NEAR(logits[(i * layers + l) * classes + c], answers[i].logits[l][c], kTolerance)
            << i << " exit " << l + 1;
    }
  for (const Score score : kScores) {
    const auto scores = loaded.session->trace_scores(score);
    ASSERT_EQ(scores.size(), inputs.count * (layers - 1));
    for (std::size_t i = 0; i < scores.size(); ++i)
      EXPECT_NEAR(scores[i], answers[i / (layers - 1)].scores[static_cast<std::size_t>(score)][i % (layers - 1)],
                  kTolerance)
          << policy::score_name(score) << " " << i;
  }
}

TEST_P(EngineTest, FullDepthMatchesReferenceAndTrace) {
  Loaded loaded(which, tier, 1);
  const Inputs inputs = testing::random_inputs(which.spec, 5, 12);
  const auto answers = answers_of(loaded, inputs);
  RunOptions options;
  options.mode = Mode::trace;
  loaded.run(inputs.batch(), options);
  const std::size_t layers = static_cast<std::size_t>(which.spec.layers);
  const std::vector<float> traced = testing::copy(loaded.session->trace_logits());
  options.mode = Mode::full_depth;
  const auto predictions = loaded.run(inputs.batch(), options);
  std::size_t row = 0;
  for (std::size_t i = 0; i < inputs.count; ++i) {
    for (std::size_t c = 0; c < 3; ++c)
      EXPECT_EQ(loaded.session->logits()[i * 3 + c], traced[(i * layers + layers - 1) * 3 + c]);
    for (const reference::Row& expected : answers[i].hidden)
      for (const double value : expected) EXPECT_NEAR(loaded.session->hidden()[row++], value, kTolerance);
    EXPECT_EQ(predictions[i].depth, which.spec.layers);
    EXPECT_EQ(predictions[i].decision_macs, 0.0);
    const int tokens = inputs.pixels.empty() ? static_cast<int>(inputs.texts[i].size()) : which.spec.tokens();
    EXPECT_EQ(predictions[i].macs, full_depth_macs(which.spec, tokens));
  }
  EXPECT_EQ(loaded.session->hidden().size(), row);
  for (int exit = 1; exit <= which.spec.layers; ++exit) {
    options.mode = Mode::fixed_exit;
    options.exit = exit;
    const auto fixed = loaded.run(inputs.batch(), options);
    for (std::size_t i = 0; i < inputs.count; ++i) {
      EXPECT_EQ(fixed[i].depth, exit);
      for (std::size_t c = 0; c < 3; ++c)
        EXPECT_EQ(loaded.session->logits()[i * 3 + c],
                  traced[(i * layers + static_cast<std::size_t>(exit) - 1) * 3 + c]);
    }
  }
}

// A bound on depth changes nothing but where the late ones answer: at the bound's own exit.
TEST_P(EngineTest, ABoundOnDepthStopsWhoeverReachesIt) {
  Loaded loaded(which, tier, 1);
  const Inputs inputs = testing::random_inputs(which.spec, 24, 14);
  RunOptions options;
  options.mode = Mode::trace;
  loaded.run(inputs.batch(), options);
  const std::vector<float> traced = testing::copy(loaded.session->trace_logits());
  const std::size_t layers = static_cast<std::size_t>(which.spec.layers);
  for (const Score score : kScores)
    for (const float lambda : {0.0f, 0.55f, 2.0f}) {
      options.mode = Mode::adaptive;
      options.score = static_cast<int>(score);
      options.lambda = lambda;
      options.max_depth = 0;
      const auto free = loaded.run(inputs.batch(), options);
      for (int bound = 1; bound <= which.spec.layers; ++bound) {
        options.max_depth = bound;
        const auto bounded = loaded.run(inputs.batch(), options);
        for (std::size_t i = 0; i < inputs.count; ++i) {
          ASSERT_EQ(bounded[i].depth, std::min(bound, free[i].depth));
          if (free[i].depth < bound) {
            EXPECT_EQ(bounded[i].macs, free[i].macs);
          }
          const std::size_t exit = static_cast<std::size_t>(bounded[i].depth);
          for (std::size_t c = 0; c < 3; ++c)
            EXPECT_EQ(loaded.session->logits()[i * 3 + c], traced[(i * layers + exit - 1) * 3 + c]);
        }
      }
    }
  options.max_depth = which.spec.layers + 1;
  std::vector<Prediction> out(inputs.count);
  EXPECT_FALSE(loaded.session->run(inputs.batch(), options, out).has_value());
}

// Adaptive exits are those replayed from the trace, bit for bit, and those of the reference unless within rounding.
TEST_P(EngineTest, AdaptiveEqualsReplayOfTheTrace) {
  Loaded loaded(which, tier, 1);
  const Inputs inputs = testing::random_inputs(which.spec, 24, 13);
  const auto answers = answers_of(loaded, inputs);
  RunOptions options;
  options.mode = Mode::trace;
  loaded.run(inputs.batch(), options);
  const std::vector<float> traced = testing::copy(loaded.session->trace_logits());
  const int layers = which.spec.layers, first = which.policy.first_exit;
  std::size_t stopped_early = 0, stopped_late = 0;
  for (const Score score : kScores) {
    options.mode = Mode::trace;
    loaded.run(inputs.batch(), options);
    const std::vector<float> scores = testing::copy(loaded.session->trace_scores(score));
    std::vector<float> lambdas = policy::candidate_thresholds(scores, 6);
    for (const float lambda : {0.0f, 0.3f, 0.55f, 0.8f, 1.0f, 2.0f}) lambdas.push_back(lambda);
    for (const float lambda : lambdas) {
      options.mode = Mode::adaptive;
      options.score = static_cast<int>(score);
      options.lambda = lambda;
      const auto predictions = loaded.run(inputs.batch(), options);
      const auto exits = policy::exits_at(scores, layers, lambda, first);
      for (std::size_t i = 0; i < inputs.count; ++i) {
        ASSERT_EQ(predictions[i].depth, exits[i])
            << policy::score_name(score) << " lambda " << lambda << " input " << i;
        ASSERT_EQ(predictions[i].trajectory, (std::uint64_t{1} << exits[i]) - 1);
        (exits[i] < layers ? stopped_early : stopped_late) += 1;
        const std::size_t at = i * static_cast<std::size_t>(layers) + static_cast<std::size_t>(exits[i]) - 1;
        for (std::size_t c = 0; c < 3; ++c) ASSERT_EQ(loaded.session->logits()[i * 3 + c], traced[at * 3 + c]);
        const auto& expected = answers[i].scores[static_cast<std::size_t>(score)];
        int exit = first;
        bool close = false;
        while (exit < layers && expected[static_cast<std::size_t>(exit - 1)] < lambda) ++exit;
        for (const float value : expected) close |= std::fabs(value - lambda) < kTolerance;
        if (!close) {
          EXPECT_EQ(exit, exits[i]) << "reference, " << policy::score_name(score) << " lambda " << lambda;
        }
      }
    }
  }
  EXPECT_GT(stopped_early, 50u);  // both happen: the test means something
  EXPECT_GT(stopped_late, 50u);
}

TEST_P(EngineTest, MasksMatchReference) {
  Loaded loaded(which, tier, 1);
  const Inputs inputs = testing::random_inputs(which.spec, 9, 14);
  Random random(5);
  std::vector<std::uint64_t> masks;
  for (std::size_t i = 0; i < inputs.count; ++i) masks.push_back(random.below(std::uint64_t{1} << which.spec.layers));
  RunOptions options;
  options.mode = Mode::masks;
  options.masks = masks;
  const auto predictions = loaded.run(inputs.batch(), options);
  const reference::Forward forward{*loaded.model, loaded.plan->policy()};
  for (std::size_t i = 0; i < inputs.count; ++i) {
    EXPECT_EQ(predictions[i].trajectory, masks[i]);
    const reference::Row expected = forward.masked_logits(start(forward, inputs, i), masks[i]);
    for (std::size_t c = 0; c < 3; ++c) EXPECT_NEAR(loaded.session->logits()[i * 3 + c], expected[c], kTolerance);
  }
}

TEST_P(EngineTest, GatesMatchReference) {
  which.name += "_gates";
  which.policy.kind = policy::PolicyKind::gates;
  Loaded loaded(which, tier, 1);
  const Inputs inputs = testing::random_inputs(which.spec, 12, 15);
  const auto answers = answers_of(loaded, inputs);
  const auto predictions = loaded.run(inputs.batch(), {});
  const reference::Forward forward{*loaded.model, loaded.plan->policy()};
  for (std::size_t i = 0; i < inputs.count; ++i) {
    EXPECT_EQ(predictions[i].trajectory, answers[i].gates);
    const reference::Row expected = forward.masked_logits(start(forward, inputs, i), answers[i].gates);
    for (std::size_t c = 0; c < 3; ++c) EXPECT_NEAR(loaded.session->logits()[i * 3 + c], expected[c], kTolerance);
  }
}

// What a score costs, counted apart from the engine.
TEST_P(EngineTest, MacsAreThoseOfWhatRan) {
  Loaded loaded(which, tier, 1);
  const Inputs inputs = testing::random_inputs(which.spec, 16, 16);
  const ModelSpec& spec = which.spec;
  const policy::Policy& policy = loaded.plan->policy();
  const bool huber = policy.predictor_kind == policy::PredictorKind::huber, text = inputs.pixels.empty();
  const double path = policy.predictor->mean_path();
  for (const Score score : kScores) {
    RunOptions options;
    options.score = static_cast<int>(score);
    options.lambda = score == Score::confidence ? 0.5f : 0.45f;
    const auto predictions = loaded.run(inputs.batch(), options);
    for (std::size_t i = 0; i < inputs.count; ++i) {
      const int tokens = text ? static_cast<int>(inputs.texts[i].size()) : spec.tokens();
      const Ledger ledger = ledger_for(spec, tokens);
      const Prediction& p = predictions[i];
      const bool last = p.depth == spec.layers;
      const double checks = last ? spec.layers - policy.first_exit : p.depth - policy.first_exit + 1;
      const double heads = last ? checks : checks - 1;  // of exits not taken
      const double positions = text ? tokens : (spec.grid_rows() + 1) / 2 * ((spec.grid_columns() + 1) / 2);
      const double conv2 = positions * spec.extractor.c1 * spec.extractor.c2 * (spec.grid_rows() == 1 ? 3 : 9);
      const double level = policy.policy_reads_level ? (huber ? 1 : spec.layers - 1) * path : 0;
      const double steps = ledger.policy_init + checks * ledger.policy_step + level;
      double decision = 0;
      if (score == Score::confidence) decision = heads * ledger.exit_head;
      if (score == Score::predictor) decision = ledger.extractor - conv2 + (huber ? 1 : checks) * path;
      if (score == Score::policy || score == Score::fused)
        decision = ledger.extractor + heads * ledger.exit_head + steps;
      if (score == Score::fused) {  // trees run only where they can matter
        const double times = (p.decision_macs - decision) / path;
        EXPECT_NEAR(times, std::round(times), 1e-6);
        EXPECT_GE(times, -1e-6);
        EXPECT_LE(times, (huber ? 1 : checks) + 1e-6);
        decision = p.decision_macs;
      }
      EXPECT_NEAR(p.decision_macs, decision, 1e-6) << policy::score_name(score);
      EXPECT_NEAR(p.macs,
                  decision + ledger.embed + p.depth * ledger.layer + (last ? ledger.task_head : ledger.exit_head),
                  1e-6);
    }
  }
}

}  // namespace
}  // namespace fathom::engine
