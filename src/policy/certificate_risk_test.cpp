// What certificates promise, on populations whose risk is known: the share of repeats in which a certified threshold
// loses more than delta stays within alpha, for every loss, with groups, with the smallest delta that the rows allow,
// and over a list of attempts on the same rows. Risks just above delta stand on purpose where an honest test is wrong
// about as often as alpha allows, and the same count must catch tests at twice the level.
#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"
#include "policy/certificate.h"

namespace fathom::policy {
namespace {

constexpr int kRepeats = 600;
constexpr double kAlpha = 0.1;

// Above this many violations in `repeats` a rate of alpha is refuted: with probability below 0.0014.
double most(int repeats, double alpha) { return repeats * alpha + 3 * std::sqrt(repeats * alpha * (1 - alpha)); }

// Rows of two exits: the score is one of ten, and the first exit flips the answer in a share flips (1 - score)^2 of the
// rows at a score; full depth is right on nine rows of ten, whatever the score.
struct Sample {
  Trace trace;
  std::vector<float> scores;
  std::vector<std::int32_t> group;
};

Sample draw(std::size_t n, std::uint64_t seed, std::vector<double> flips) {
  Sample out;
  out.trace.layers = out.trace.classes = 2;
  Random random(seed, "risk");
  for (std::size_t i = 0; i < n; ++i) {
    const double score = 0.1 * static_cast<double>(1 + random.below(10));
    const auto group = static_cast<std::size_t>(random.below(flips.size()));
    const bool flip = random.uniform() < flips[group] * (1 - score) * (1 - score);
    out.trace.tokens.push_back(1);
    out.trace.labels.push_back(random.uniform() < 0.9 ? 0 : 1);
    out.trace.predictions.insert(out.trace.predictions.end(), {flip ? 1 : 0, 0});
    out.scores.push_back(static_cast<float>(score));
    out.group.push_back(static_cast<std::int32_t>(group));
  }
  return out;
}

// The share of rows that lose at a threshold: of flipped ones all, those that full depth has right, or right less
// wrong.
double risk(float lambda, double flips, Loss loss) {
  double sum = 0;
  for (int k = 1; k <= 10; ++k)
    if (static_cast<float>(0.1 * k) >= lambda) sum += 0.1 * flips * (1 - 0.1 * k) * (1 - 0.1 * k);
  return sum * (loss == Loss::consistency ? 1 : loss == Loss::harm ? 0.9 : 0.8);
}

Certificate prove(const Sample& tune, const Sample& calibrate, const CertificateAim& aim, const Groups& groups = {}) {
  const auto got = certify(tune.trace, tune.scores, calibrate.trace, calibrate.scores, 1, aim, groups);
  EXPECT_TRUE(got.has_value());
  return *got;
}

TEST(CertifiedRisk, EveryLossStaysWithinAlpha) {
  constexpr double kFlips = 0.2;
  for (const Loss loss : {Loss::consistency, Loss::harm, Loss::drop}) {
    const double delta = 0.985 * risk(0.4f, kFlips, loss);  // the step from 0.5 to 0.4 is a small violation
    ASSERT_LT(risk(0.5f, kFlips, loss), delta);
    int violations = 0, at_twice = 0, useful = 0;
    for (std::uint64_t repeat = 0; repeat < kRepeats; ++repeat) {
      const Sample tune = draw(500, 2 * repeat, {kFlips}), calibrate = draw(1500, 2 * repeat + 1, {kFlips});
      const Certificate got = prove(tune, calibrate, {loss, delta, kAlpha, repeat});
      violations += risk(got.lambda, kFlips, loss) > delta ? 1 : 0;
      useful += got.lambda < 0.7f ? 1 : 0;
      const Certificate loose = prove(tune, calibrate, {loss, delta, 2.5 * kAlpha, repeat});
      at_twice += risk(loose.lambda, kFlips, loss) > delta ? 1 : 0;
    }
    EXPECT_LE(violations, most(kRepeats, kAlpha)) << loss_name(loss);
    EXPECT_GT(useful, kRepeats / 2) << loss_name(loss);
    if (loss != Loss::drop) {
      EXPECT_GT(at_twice, most(kRepeats, kAlpha)) << loss_name(loss) << ": the count sees nothing";
    }
  }
}

TEST(CertifiedRisk, EveryGroupStaysWithinAlphaAtLevelAlpha) {
  const std::vector<double> flips = {0.05, 0.1, 0.2};
  for (const Loss loss : {Loss::consistency, Loss::harm, Loss::drop}) {
    const double delta = 0.985 * risk(0.4f, flips[2], loss);
    int violations = 0;
    for (std::uint64_t repeat = 0; repeat < kRepeats; ++repeat) {
      const Sample tune = draw(500, 2 * repeat, flips), calibrate = draw(3000, 2 * repeat + 1, flips);
      const Groups groups{GroupBy::label, {"a", "b", "c"}, tune.group, calibrate.group};
      const float lambda = prove(tune, calibrate, {loss, delta, kAlpha, repeat}, groups).lambda;
      violations += risk(lambda, flips[2], loss) > delta ? 1 : 0;  // the worst group's; the others' risk is lower
    }
    EXPECT_LE(violations, most(kRepeats, kAlpha)) << loss_name(loss);
    if (loss != Loss::drop) {
      EXPECT_GT(violations, 0.3 * kAlpha * kRepeats) << "the groups' level is wasted";
    }
  }
}

// The smallest delta that the rows allow is a number of rows, not of losses: proven like any other.
TEST(CertifiedRisk, TheSmallestDeltaStaysWithinAlpha) {
  constexpr double kFlips = 0.2;
  constexpr std::size_t kRows = 828;
  const double delta = least_delta(Loss::consistency, kRows, 500, kAlpha);
  ASSERT_LT(delta, risk(0.7f, kFlips, Loss::consistency));
  ASSERT_GT(delta, 0.98 * risk(0.7f, kFlips, Loss::consistency));
  int violations = 0;
  for (std::uint64_t repeat = 0; repeat < kRepeats; ++repeat) {
    const Sample tune = draw(500, 2 * repeat, {kFlips}), calibrate = draw(kRows, 2 * repeat + 1, {kFlips});
    const Certificate got = prove(tune, calibrate, {Loss::consistency, delta, kAlpha, 1});
    EXPECT_GT(got.rejected, 0u) << "full depth is proven by as many rows as that";
    violations += risk(got.lambda, kFlips, Loss::consistency) > delta ? 1 : 0;
  }
  EXPECT_LE(violations, most(kRepeats, kAlpha));
  EXPECT_GT(violations, 0.3 * kAlpha * kRepeats) << "the smallest delta could be smaller";
}

// A list of aims fixed beforehand, worked through on the same rows and stopped wherever one likes what it got: the
// levels add up. Each alone is wrong at most that often, all together need the sum.
TEST(CertifiedRisk, AttemptsOnTheSameRowsAddUp) {
  constexpr double kFlips = 0.2, kLevel = 0.05;
  const double aims[] = {0.985 * risk(0.6f, kFlips, Loss::consistency), 0.985 * risk(0.5f, kFlips, Loss::consistency),
                         0.985 * risk(0.4f, kFlips, Loss::consistency), 0.985 * risk(0.3f, kFlips, Loss::consistency)};
  int any = 0, one = 0;
  for (std::uint64_t repeat = 0; repeat < kRepeats; ++repeat) {
    const Sample tune = draw(500, 2 * repeat, {kFlips}), calibrate = draw(1500, 2 * repeat + 1, {kFlips});
    bool wrong = false;
    for (const double delta : aims) {
      const float lambda = prove(tune, calibrate, {Loss::consistency, delta, kLevel, 1}).lambda;
      const bool now = risk(lambda, kFlips, Loss::consistency) > delta;
      one += delta == aims[2] && now ? 1 : 0;
      wrong = wrong || now;
    }
    any += wrong ? 1 : 0;
  }
  EXPECT_LE(one, most(kRepeats, kLevel));
  EXPECT_LE(any, most(kRepeats, 4 * kLevel));
  EXPECT_GT(any, most(kRepeats, kLevel)) << "one level would be claimed for what four tests risk";
}

}  // namespace
}  // namespace fathom::policy
