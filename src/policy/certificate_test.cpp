#include "policy/certificate.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"

namespace fathom::policy {
namespace {

TEST(Certificate, RowsNeededAndTheDeltaThatTheyAllow) {
  EXPECT_EQ(inputs_needed(0.003, 0.05), 998u);
  EXPECT_EQ(inputs_needed(0.005, 0.05), 598u);
  EXPECT_EQ(inputs_needed(0.01, 0.05), 299u);
  EXPECT_NEAR(least_delta(Loss::consistency, 299, 300, 0.05), 0.00997, 1e-9);  // 1 - 0.05^(1/299) = 0.009969
  EXPECT_EQ(least_delta(Loss::harm, 0, 300, 0.05), 1);
  for (const std::size_t n :
       {std::size_t{1}, std::size_t{7}, std::size_t{250}, std::size_t{2000}, std::size_t{80000}}) {
    const double delta = least_delta(Loss::consistency, n, 100, 0.05);
    EXPECT_LE(inputs_needed(delta, 0.05), n);
    EXPECT_NEAR(delta, 1 - std::pow(0.05, 1 / static_cast<double>(n)), 0.01 * delta);
  }
  // A stake set on rows must leave room for a loss: more delta than the others need, less with more rows.
  EXPECT_GT(least_delta(Loss::drop, 2000, 2000, 0.05), least_delta(Loss::harm, 2000, 2000, 0.05));
  EXPECT_LT(least_delta(Loss::drop, 2000, 2000, 0.05), 2 * least_delta(Loss::harm, 2000, 2000, 0.05));
}

// A p-value that is no number proves nothing, wherever it stands: the largest of {0.01, NaN} is not 0.01.
TEST(Certificate, WhatIsNoNumberProvesNothing) {
  const double nan = std::nan("");
  for (const auto& p_values : {std::vector<double>{nan, 0.01}, {0.01, nan}, {0.01, nan, 0.02}, {0.01, -1}, {}}) {
    std::vector<GroupProof> proofs;
    for (const double p : p_values) proofs.push_back({"", 10, 0, p});
    EXPECT_FALSE(largest_p(proofs) <= 1);
    EXPECT_FALSE(fixed_sequence({largest_p(proofs)}, 0.05).has_value());
  }
  EXPECT_EQ(largest_p(std::vector<GroupProof>{{"", 1, 0, 0.01}, {"", 1, 0, 0.03}, {"", 1, 0, 0.02}}), 0.03);
  EXPECT_FALSE(fixed_sequence({nan, 0.01}, 0.05).has_value());
}

TEST(Certificate, FixedSequenceStopsBeforeTheFirstGap) {
  EXPECT_FALSE(fixed_sequence({}, 0.05).has_value());
  EXPECT_FALSE(fixed_sequence({0.2, 0.01}, 0.05).has_value());
  EXPECT_EQ(fixed_sequence({0.01, 0.05, 0.06, 0.01}, 0.05), 1u);  // neither the first that fails nor one behind the gap
  EXPECT_EQ(fixed_sequence({0.01, 0.02}, 0.05), 1u);
}

// One input of two exits: the first flips the answer the more often the lower its score, nine answers of ten are right.
void add_row(Random& random, double flips, double score, Trace& trace, std::vector<float>& scores) {
  const bool flip = random.uniform() < flips * (1 - score) * (1 - score), right = random.uniform() < 0.9;
  trace.tokens.push_back(1);
  trace.labels.push_back(right ? 0 : 1);
  trace.predictions.push_back(flip ? 1 : 0);
  trace.predictions.push_back(0);
  scores.push_back(static_cast<float>(score));
}

// Rows of a population: the score, one of ten, says how sure an exit is, and errors grow as it falls. Between the
// scores 0.5 and 0.4 the share of flips jumps from 1.1 to 1.8 %.
Trace draw(std::size_t n, std::uint64_t seed, std::vector<float>& scores) {
  Trace trace;
  trace.layers = 2;
  trace.classes = 2;
  scores.clear();
  Random random(seed, "population");
  for (std::size_t i = 0; i < n; ++i) {
    const double score = 0.1 * static_cast<double>(1 + random.below(10));
    add_row(random, 0.2, score, trace, scores);
  }
  return trace;
}

double share(const Trace& trace, std::span<const float> scores, float lambda, Loss loss) {
  const auto exits = exits_at(scores, 2, lambda, 1);
  double sum = 0;
  for (std::size_t i = 0; i < exits.size(); ++i) {
    const std::int32_t answer = trace.predictions[2 * i + static_cast<std::size_t>(exits[i]) - 1],
                       full = trace.predictions[2 * i + 1];
    const int drop = (full == trace.labels[i]) - (answer == trace.labels[i]);
    sum += loss == Loss::consistency ? answer != full : loss == Loss::harm ? std::max(0, drop) : drop;
  }
  return sum / static_cast<double>(exits.size());
}

// 200 re-splits: how often the true loss of the certified threshold exceeds delta. `next`: the wrong rule of taking the
// first hypothesis that is not rejected must be caught by the very same count.
TEST(Certificate, ViolationsStayBelowAlpha) {
  constexpr int kSplits = 200;
  constexpr double kAlpha = 0.1, kDelta = 0.017;
  // 200 draws of a violation with probability 0.1: above 33 with probability < 0.002.
  constexpr int kMost = 33;
  std::vector<float> all_scores;
  const Trace all = draw(200000, 99, all_scores);
  for (const Loss loss : {Loss::consistency, Loss::harm, Loss::drop}) {
    int violations = 0, wrong_rule = 0, useful = 0;
    for (int split = 0; split < kSplits; ++split) {
      std::vector<float> tune_scores, scores;
      const Trace tune = draw(1000, 1000 + static_cast<std::uint64_t>(split), tune_scores);
      const Trace calibrate = draw(2000, 5000 + static_cast<std::uint64_t>(split), scores);
      CertificateAim aim{loss, kDelta, kAlpha, 1};
      const auto got = certify(tune, tune_scores, calibrate, scores, 1, aim);
      ASSERT_TRUE(got.has_value());
      violations += share(all, all_scores, got->lambda, loss) > kDelta ? 1 : 0;
      useful += got->lambda < 1 ? 1 : 0;
      const auto thresholds = candidate_thresholds(tune_scores, 200);
      if (got->tested > got->rejected && got->tested <= thresholds.size())
        wrong_rule += share(all, all_scores, thresholds[got->tested - 1], loss) > kDelta ? 1 : 0;
    }
    EXPECT_LE(violations, kMost) << loss_name(loss);
    EXPECT_GE(useful, kSplits * 9 / 10) << loss_name(loss);
    if (loss == Loss::consistency) {
      EXPECT_GT(wrong_rule, kMost) << "the count cannot tell the rules apart";
    }
  }
}

// Group 1, three rows in ten, flips three times as often as group 0 at the same score.
Trace draw_groups(std::size_t n, std::uint64_t seed, std::vector<float>& scores, std::vector<std::int32_t>& group) {
  Trace trace;
  trace.layers = 2;
  trace.classes = 2;
  scores.clear();
  group.clear();
  Random random(seed, "groups");
  for (std::size_t i = 0; i < n; ++i) {
    const double score = 0.1 * static_cast<double>(1 + random.below(10));
    group.push_back(random.uniform() < 0.3 ? 1 : 0);
    add_row(random, group.back() == 1 ? 0.3 : 0.1, score, trace, scores);
  }
  return trace;
}

// The rows of one group alone.
Trace rows_of(const Trace& all, std::span<const float> scores, const std::vector<std::int32_t>& group, int which,
              std::vector<float>& own_scores) {
  Trace own;
  own.layers = own.classes = 2;
  for (std::size_t i = 0; i < group.size(); ++i) {
    if (group[i] != which) continue;
    own.tokens.push_back(1);
    own.labels.push_back(all.labels[i]);
    own.predictions.insert(own.predictions.end(), {all.predictions[2 * i], all.predictions[2 * i + 1]});
    own_scores.push_back(scores[i]);
  }
  return own;
}

// 200 re-splits: how often the true loss of any group exceeds delta. A walk that looks at the average, or at one group
// alone, must be caught by the very same count.
TEST(Certificate, NoGroupPaysForTheOthers) {
  constexpr int kSplits = 200, kMost = 33;  // as above
  constexpr double kAlpha = 0.1, kDelta = 0.03;
  std::vector<float> all_scores, part_scores[2];
  std::vector<std::int32_t> all_groups;
  const Trace all = draw_groups(100000, 98, all_scores, all_groups);
  const Trace parts[2] = {rows_of(all, all_scores, all_groups, 0, part_scores[0]),
                          rows_of(all, all_scores, all_groups, 1, part_scores[1])};
  for (const Loss loss : {Loss::consistency, Loss::harm, Loss::drop}) {
    const auto violates = [&](float lambda) {
      return share(parts[0], part_scores[0], lambda, loss) > kDelta ||
                     share(parts[1], part_scores[1], lambda, loss) > kDelta
                 ? 1
                 : 0;
    };
    int violations = 0, useful = 0, average = 0, one_alone = 0;
    for (int split = 0; split < kSplits; ++split) {
      std::vector<float> tune_scores, scores, first_scores;
      Groups groups{GroupBy::label, {"easy", "hard"}, {}, {}};
      const Trace tune = draw_groups(1000, 2000 + static_cast<std::uint64_t>(split), tune_scores, groups.tune);
      const Trace calibrate = draw_groups(4000, 7000 + static_cast<std::uint64_t>(split), scores, groups.calibrate);
      const CertificateAim aim{loss, kDelta, kAlpha, 1};
      const auto got = certify(tune, tune_scores, calibrate, scores, 1, aim, groups);
      ASSERT_TRUE(got.has_value());
      ASSERT_EQ(got->groups.size(), 2u);
      EXPECT_EQ(got->groups[0].n + got->groups[1].n, 4000u);
      violations += violates(got->lambda);
      useful += got->lambda < 1 ? 1 : 0;
      average += violates(certify(tune, tune_scores, calibrate, scores, 1, aim)->lambda);
      const Trace first = rows_of(calibrate, scores, groups.calibrate, 0, first_scores);
      one_alone += violates(certify(tune, tune_scores, first, first_scores, 1, aim)->lambda);
    }
    EXPECT_LE(violations, kMost) << loss_name(loss);
    EXPECT_GE(useful, kSplits * 9 / 10) << loss_name(loss);
    EXPECT_GT(average, kMost) << loss_name(loss) << ": the count cannot tell the rules apart";
    EXPECT_GT(one_alone, kMost) << loss_name(loss) << ": the count cannot tell the rules apart";
  }
}

// An intersection-union test: so many inputs without a loss as prove delta at alpha are enough in every group, and one
// fewer in one of them is not, though the other has plenty.
TEST(Certificate, EveryGroupIsTestedAtAlpha) {
  constexpr double kDelta = 0.05, kAlpha = 0.1;
  const std::size_t needed = inputs_needed(kDelta, kAlpha);
  for (const std::size_t second : {needed, needed - 1}) {
    Trace trace;
    trace.layers = 2;
    trace.classes = 2;
    std::vector<float> scores;
    Groups groups{GroupBy::length, {"long", "short"}, {}, {}};
    for (std::size_t i = 0; i < 500 + second; ++i) {
      trace.tokens.push_back(1);
      trace.predictions.insert(trace.predictions.end(), {0, 0});
      scores.push_back(0.5f);
      groups.calibrate.push_back(i < 500 ? 0 : 1);
    }
    groups.tune = groups.calibrate;
    const auto got = certify(trace, scores, trace, scores, 1, {Loss::consistency, kDelta, kAlpha, 1}, groups);
    ASSERT_TRUE(got.has_value());
    EXPECT_EQ(got->rejected > 0, second == needed) << second;
    ASSERT_EQ(got->groups.size(), 2u);
    EXPECT_EQ(got->groups[1].n, second);
    EXPECT_EQ(got->stopped_by, second == needed ? "" : "short");
  }
}

// Against other answers than the trace's own, full depth itself loses, and has to be proven like any threshold.
TEST(Certificate, AgainstOtherAnswersFullDepthIsProvenToo) {
  Trace trace;
  trace.layers = trace.classes = 2;
  std::vector<float> scores;
  std::vector<std::int32_t> reference;
  for (std::int32_t i = 0; i < 400; ++i) {
    trace.tokens.push_back(1);
    trace.predictions.insert(trace.predictions.end(), {0, 0});
    scores.push_back(0.5f);
    reference.push_back(i < 4 ? 1 : 0);
  }
  const References other{reference, reference};
  const auto proven = certify(trace, scores, trace, scores, 1, {Loss::consistency, 0.03, 0.05, 1}, {}, other);
  ASSERT_TRUE(proven.has_value());
  EXPECT_EQ(proven->losses, 4u);
  EXPECT_EQ(proven->rejected, 2u);
  const auto not_proven = certify(trace, scores, trace, scores, 1, {Loss::consistency, 0.01, 0.05, 1}, {}, other);
  EXPECT_EQ(not_proven->rejected, 0u);
  EXPECT_GT(certify(trace, scores, trace, scores, 1, {Loss::consistency, 0.01, 0.05, 1})->rejected, 0u);
}

TEST(Certificate, GroupsByClassAndLength) {
  Trace tune, calibrate;
  tune.layers = calibrate.layers = 2;
  for (std::int32_t i = 1; i <= 9; ++i) {
    tune.tokens.push_back(10 * i);
    tune.predictions.insert(tune.predictions.end(), {0, i % 2});
  }
  calibrate.tokens = {1, 30, 31, 60, 61, 500};
  calibrate.predictions = {0, 1, 0, 0, 0, 1, 1, 0, 1, 1, 1, 0};
  const auto lengths = groups_by_length(tune, calibrate);
  ASSERT_TRUE(lengths.has_value());
  EXPECT_EQ(lengths->names, (std::vector<std::string>{"1 to 30 tokens", "31 to 60 tokens", "61 tokens or more"}));
  EXPECT_EQ(lengths->calibrate, (std::vector<std::int32_t>{0, 0, 1, 1, 2, 2}));
  EXPECT_EQ(lengths->tune, (std::vector<std::int32_t>{0, 0, 0, 1, 1, 1, 2, 2, 2}));
  const auto answers = groups_by_class(tune, calibrate, {"no", "yes"});
  ASSERT_TRUE(answers.has_value());
  EXPECT_EQ(answers->by, GroupBy::answer);
  EXPECT_EQ(answers->calibrate, (std::vector<std::int32_t>{1, 0, 1, 0, 1, 0}));
  tune.labels.assign(9, 1);
  calibrate.labels = {0, 0, 0, 1, 1, 1};
  const auto labels = groups_by_class(tune, calibrate, {"no", "yes"});
  EXPECT_EQ(labels->by, GroupBy::label);
  EXPECT_EQ(labels->calibrate, calibrate.labels);
  tune.tokens.assign(9, 7);
  EXPECT_FALSE(groups_by_length(tune, calibrate).has_value());
}

TEST(Certificate, TooFewInputsProveNothing) {
  std::vector<float> tune_scores, scores;
  const Trace tune = draw(300, 1, tune_scores), calibrate = draw(200, 2, scores);
  const auto got = certify(tune, tune_scores, calibrate, scores, 1, {Loss::consistency, 0.003, 0.05, 1});
  ASSERT_TRUE(got.has_value());
  EXPECT_EQ(got->lambda, 2.0f);
  EXPECT_EQ(got->rejected, 0u);
}

TEST(Certificate, AimsOutOfRangeAndMissingLabels) {
  std::vector<float> scores;
  Trace trace = draw(300, 1, scores);
  EXPECT_FALSE(certify(trace, scores, trace, scores, 1, {Loss::consistency, 0, 0.05, 1}).has_value());
  EXPECT_FALSE(certify(trace, scores, trace, scores, 1, {Loss::consistency, 0.1, 1, 1}).has_value());
  trace.labels.clear();
  EXPECT_FALSE(certify(trace, scores, trace, scores, 1, {Loss::harm, 0.1, 0.05, 1}).has_value());
  EXPECT_TRUE(certify(trace, scores, trace, scores, 1, {Loss::consistency, 0.1, 0.05, 1}).has_value());
  EXPECT_FALSE(parse_loss("hinge").has_value());
  EXPECT_EQ(*parse_loss("drop"), Loss::drop);
}

}  // namespace
}  // namespace fathom::policy
