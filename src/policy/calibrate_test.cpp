#include "policy/calibrate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"

namespace fathom::policy {
namespace {

using Ints = std::vector<std::int32_t>;
using Floats = std::vector<float>;

TEST(Calibrate, StableDepth) {
  const Ints predictions = {1, 1, 1,  // always the last answer
                            0, 0, 1,  // only the last
                            1, 0, 1,  // right by luck first: does not count
                            0, 1, 1};
  EXPECT_EQ(stable_depth(predictions, 3), (Ints{1, 3, 3, 2}));
  EXPECT_EQ(stable_depth({}, 3), Ints{});
  EXPECT_EQ(stable_depth(Ints{5, 7}, 1), (Ints{1, 1}));
}

TEST(Calibrate, ExitsAt) {
  const Floats scores = {0.9f, 0.1f, 0.2f, 0.9f, 0.1f, 0.2f, std::nanf(""), 0.95f};
  EXPECT_EQ(exits_at(scores, 3, 0.9f, 1), (Ints{1, 2, 3, 2}));
  EXPECT_EQ(exits_at(scores, 3, 0.9f, 2), (Ints{3, 2, 3, 2}));
  EXPECT_EQ(exits_at(scores, 3, 0.0f, 1), (Ints{1, 1, 1, 2}));
  EXPECT_EQ(exits_at(scores, 3, 2.0f, 1), (Ints{3, 3, 3, 3}));
  EXPECT_EQ(exits_at(scores, 3, 0.0f, 3), (Ints{3, 3, 3, 3}));
  EXPECT_EQ(exits_at({}, 3, 0.5f, 1), Ints{});
}

TEST(Calibrate, CandidateThresholds) {
  EXPECT_EQ(candidate_thresholds(Floats{0.2f, 0.8f, 0.8f, 0.5f}, 10), (Floats{2.0f, 0.8f, 0.5f, 0.2f}));
  EXPECT_EQ(candidate_thresholds({}, 10), (Floats{2.0f}));
  EXPECT_EQ(candidate_thresholds(Floats{0.5f}, 0), Floats{});
  EXPECT_EQ(candidate_thresholds(Floats{0.5f, 0.6f}, 1), (Floats{2.0f}));
  EXPECT_EQ(candidate_thresholds(Floats{std::nanf(""), 0.5f}, 10), (Floats{2.0f, 0.5f}));
  Floats many;
  for (int i = 0; i < 1000; ++i) many.push_back(static_cast<float>((i * 37) % 1000) / 1000.0f);
  const Floats few = candidate_thresholds(many, 11);
  ASSERT_EQ(few.size(), 11u);
  EXPECT_EQ(few.front(), 2.0f);
  EXPECT_EQ(few[1], 0.9f);  // a tenth of the scores passes
  EXPECT_EQ(few.back(), 0.0f);
  EXPECT_TRUE(std::is_sorted(few.begin(), few.end(), std::greater<>()));
}

// Two layers; input i has score s_i at exit 1, which agrees with exit 2 or not.
Trace two_layers(const std::vector<bool>& agrees) {
  Trace trace;
  trace.layers = 2, trace.classes = 2;
  for (const bool same : agrees) {
    trace.tokens.push_back(4);
    trace.predictions.push_back(same ? 1 : 0);
    trace.predictions.push_back(1);
  }
  return trace;
}

TEST(Calibrate, TheWalkEndsAtTheFirstFailure) {
  // Candidates 0.9 (0 wrong of 4), 0.8 (1 wrong). A later one cannot recover with monotone exits in two layers, so the
  // lucky case needs three: see below. Here: budget met at 0.9 only.
  const Trace trace = two_layers({true, false, true, true});
  const Floats scores = {0.9f, 0.8f, 0.7f, 0.6f};
  EXPECT_EQ(choose_by_consistency(trace, scores, 1, 0.0), 0.9f);
  EXPECT_EQ(choose_by_consistency(trace, scores, 1, 0.25), 0.6f);
  EXPECT_EQ(choose_by_consistency(trace, scores, 1, 0.2499), 0.9f);
}

TEST(Calibrate, ALaterLuckyThresholdIsNotTaken) {
  // Three layers, one input matters: exit 2 is wrong, exit 1 is right. Falling lambda first stops it at 2 (failure),
  // then at 1 (no disagreement any more). The walk must have ended.
  Trace trace;
  trace.layers = 3, trace.classes = 2;
  trace.tokens = {4, 4};
  trace.predictions = {1, 1, 1, 1, 0, 1};
  const Floats scores = {0.9f, 0.9f, 0.3f, 0.5f};
  const auto disagreements = [&](float lambda) {
    const Ints exits = exits_at(scores, 3, lambda, 1);
    int wrong = 0;
    for (std::size_t i = 0; i < 2; ++i)
      wrong += trace.predictions[i * 3 + static_cast<std::size_t>(exits[i]) - 1] != trace.predictions[i * 3 + 2];
    return wrong;
  };
  EXPECT_EQ(disagreements(0.9f), 0);
  EXPECT_EQ(disagreements(0.5f), 1);
  EXPECT_EQ(disagreements(0.3f), 0);  // lucky
  EXPECT_EQ(choose_by_consistency(trace, scores, 1, 0.0), 0.9f);
  EXPECT_EQ(choose_by_consistency(trace, scores, 1, 0.5), 0.3f);
  EXPECT_EQ(choose_by_consistency(trace, scores, 3, 0.0), 2.0f);  // no checkpoint at all
}

TEST(Calibrate, TiesStandOrFallTogether) {
  const Trace trace = two_layers({true, true, false});
  const Floats scores = {0.9f, 0.5f, 0.5f};
  EXPECT_EQ(choose_by_consistency(trace, scores, 1, 0.0), 0.9f);
  const Floats tied = {0.5f, 0.5f, 0.5f};
  EXPECT_EQ(choose_by_consistency(trace, tied, 1, 0.0), 2.0f);
  EXPECT_EQ(choose_by_consistency(trace, tied, 1, 1.0 / 3.0), 0.5f);
}

TEST(Calibrate, NothingToChooseFrom) {
  EXPECT_EQ(choose_by_consistency(Trace{}, {}, 1, 0.5), 2.0f);
  Trace empty;
  empty.layers = 3;
  EXPECT_EQ(choose_by_consistency(empty, {}, 1, 0.5), 2.0f);
}

TEST(Calibrate, ManyInputsStayWithinBudget) {
  Random random(7);
  Trace trace;
  trace.layers = 6, trace.classes = 2;
  Floats scores;
  for (int i = 0; i < 3000; ++i) {
    trace.tokens.push_back(4);
    for (int e = 1; e <= 6; ++e) {
      const double p = e == 6 ? 1.0 : random.uniform();  // agrees with this probability, and the score knows it
      trace.predictions.push_back(random.chance(p) ? 1 : 0);
      if (e < 6) scores.push_back(static_cast<float>(p));
    }
  }
  const float chosen = choose_by_consistency(trace, scores, 2, 0.02);
  const Ints exits = exits_at(scores, 6, chosen, 2);
  int wrong = 0;
  double depth = 0;
  for (std::size_t i = 0; i < exits.size(); ++i) {
    wrong += trace.predictions[i * 6 + static_cast<std::size_t>(exits[i]) - 1] != trace.predictions[i * 6 + 5];
    depth += exits[i] / 3000.0;
  }
  EXPECT_LE(wrong, 60);
  EXPECT_LT(depth, 5.95);
  EXPECT_GE(*std::min_element(exits.begin(), exits.end()), 2);
}

// A comparison that NaN decides must decide for full depth.
TEST(Calibrate, ABudgetThatIsNoNumberAllowsNothing) {
  Trace trace;
  trace.layers = trace.classes = 2;
  trace.tokens = {1, 1};
  trace.predictions = {0, 1, 1, 1};
  const std::vector<float> scores = {0.9f, 0.8f};
  EXPECT_EQ(choose_by_consistency(trace, scores, 1, std::nan("")), 2.0f);
  EXPECT_EQ(choose_by_consistency(trace, scores, 1, 0.5), 0.8f);
}

}  // namespace
}  // namespace fathom::policy
