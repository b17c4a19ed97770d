#include "train/decision.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"
#include "model/names.h"
#include "train/adamw.h"
#include "train/extractor.h"
#include "train/fusion.h"
#include "train/policy_net.h"

namespace fathom::train {
namespace {

using torch::Tensor;

// One thread: tensors this small only wait for each other on two.
[[maybe_unused]] const bool kOneThread = (at::set_num_threads(1), true);

ModelSpec model() {
  ModelSpec spec;
  spec.layers = 6;
  spec.hidden = 32;
  spec.heads = 4;
  spec.ffn = 32;
  spec.norm = NormOrder::pre;
  spec.pooling = Pooling::cls;
  spec.max_tokens = 9;
  spec.vocab = 40;
  spec.label_names = {"a", "b", "c", "d"};
  size_decision(spec);
  spec.exit_head_hidden = 0;
  return spec;
}

// A frozen model acted: the first token of a kind decides how deep the answer is, exits before it guess.
struct Acted {
  ModelSpec spec = model();
  Tensor h0, lengths, logits, labels;
  DecisionInput input() const { return {spec, h0, lengths, logits, labels}; }
};

Acted act(std::int64_t n) {
  Acted out;
  const auto words = random_uniform({20, 32}, 0.5, 1, "words"), places = random_uniform({9, 32}, 0.5, 1, "places");
  out.h0 = torch::zeros({n, 9, 32});
  out.lengths = torch::empty({n}, torch::kLong);
  out.logits = torch::empty({n, 6, 4});
  out.labels = torch::empty({n}, torch::kLong);
  Random random(5);
  for (std::int64_t i = 0; i < n; ++i) {
    const auto length = static_cast<std::int64_t>(7 + random.below(3));
    const auto deep = static_cast<std::int64_t>(1 + random.below(6)),
               label = static_cast<std::int64_t>(random.below(4));
    out.lengths[i] = length;
    out.labels[i] = label;
    for (std::int64_t t = 0; t < length; ++t) {
      const bool marker = t == deep || (t > deep && random.chance(0.3));
      out.h0[i][t] = words[static_cast<std::int64_t>(marker ? random.below(4) : 4 + random.below(16))] + places[t];
      if (marker) out.h0[i][t][0] += 3;
    }
    for (std::int64_t l = 0; l < 6; ++l) {
      const bool knows = l + 1 >= deep || random.chance(0.02);
      for (std::int64_t c = 0; c < 4; ++c)
        out.logits[i][l][c] = static_cast<float>(1.2 * random.normal() + (knows && c == label ? 5 : 0));
    }
  }
  return out;
}

DecisionOptions quick() {
  DecisionOptions o;
  o.extractor_epochs = 12;
  o.clone_epochs = 12;
  o.ppo_rounds = 2;
  o.folds = 2;
  o.least_steps = 120;
  return o;
}

TEST(Decision, LearnsDepthShipsAWholeDecisionAndRepeatsToTheByte) {
  const auto acted = act(800);
  const auto first = train_decision(acted.input(), quick()), second = train_decision(acted.input(), quick());
  ASSERT_TRUE(first) << first.error().message;
  ASSERT_TRUE(second);
  EXPECT_EQ(first->predictor_text, second->predictor_text);
  EXPECT_EQ(policy::policy_to_json(first->policy).dump(), policy::policy_to_json(second->policy).dump());
  for (const auto& [name, tensor] : first->tensors) EXPECT_TRUE(torch::equal(tensor, second->tensors.at(name))) << name;

  for (const auto& wanted : decision_tensors(acted.spec)) {  // every name, every shape, nothing more
    if (wanted.name.starts_with("exits.")) continue;
    ASSERT_TRUE(first->tensors.contains(wanted.name)) << wanted.name;
    EXPECT_EQ(first->tensors.at(wanted.name).sizes().vec(), wanted.shape) << wanted.name;
  }
  const auto read =
      policy::policy_from_json(policy::policy_to_json(first->policy), acted.spec, first->predictor_text, "test");
  EXPECT_TRUE(read) << read.error().message;

  EXPECT_GT(first->facts["predictor"]["spearman"].get<double>(), 0.6);
  EXPECT_EQ(first->facts["predictor"]["auroc_per_exit"].size(), 5u);
  const auto& scores = first->facts["scores"];
  for (const char* name : {"confidence", "predictor", "policy", "fused"}) {
    for (const auto& point : scores[name])
      EXPECT_LE(point["disagreement"].get<double>(), point["budget"].get<double>()) << name;
  }
  const auto& shipped = first->facts["shipped"];
  const bool fused_wins = shipped["fused_over_confidence"]["interval"][0].get<double>() > 0.01;
  EXPECT_EQ(first->policy.score == policy::Score::fused, fused_wins);
  EXPECT_GT(first->policy.lambda, 1.0f) << "calibration, not training, chooses the threshold";
}

TEST(Decision, ATaskThatTheFirstExitSolvesShipsAConstantPredictor) {
  Acted rows = act(300);
  rows.logits =
      rows.logits.select(1, 5).unsqueeze(1).expand({300, 6, 4}).contiguous();  // every exit says what the last one does
  DecisionOptions options;
  options.ppo_rounds = 1;
  const auto result = train_decision(rows.input(), options);
  ASSERT_TRUE(result) << result.error().message;
  ASSERT_TRUE(result->policy.predictor.has_value());
  EXPECT_EQ(result->policy.predictor->tree_count(), 1);
  std::vector<double> features(static_cast<std::size_t>(policy::predictor_features(rows.spec)) + 1, 0.5);
  for (int exit = 1; exit < 6; ++exit) EXPECT_LT(policy::survival(result->policy, features, exit), 0.01);
  EXPECT_EQ(result->policy.score, policy::Score::confidence);
  for (const float weight : result->policy.fusion.weights) EXPECT_TRUE(std::isfinite(weight));
}

TEST(Decision, RefusesTooFewRows) {
  const auto acted = act(100);
  const auto result = train_decision(acted.input(), quick());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::bad_input);
}

TEST(Decision, StableDepthIsTheFirstExitAllLaterOnesAgreeWith) {
  auto logits = torch::zeros({3, 4, 2});
  const std::int64_t labels[3][4] = {{1, 1, 1, 1}, {1, 0, 1, 1}, {1, 1, 1, 0}};
  for (int i = 0; i < 3; ++i) {
    for (int l = 0; l < 4; ++l) logits[i][l][labels[i][l]] = 1;
  }
  EXPECT_TRUE(torch::equal(stable_depths(logits), torch::tensor({std::int64_t{1}, std::int64_t{3}, std::int64_t{4}})));
}

}  // namespace
}  // namespace fathom::train
