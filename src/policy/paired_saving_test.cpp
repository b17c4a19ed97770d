#include "policy/paired_saving.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/random.h"

namespace fathom::policy {
namespace {

// Inputs of three exits: full depth answers 0; the first exit is wrong in one of five. A score knows which with
// `skill`.
struct Sample {
  std::vector<std::int32_t> predictions;
  std::vector<double> full, macs;
  std::vector<float> dull, keen;
};

Sample draw(std::size_t n, double skill, std::uint64_t seed) {
  Sample out;
  Random random(seed, "saving");
  for (std::size_t i = 0; i < n; ++i) {
    const bool wrong = random.uniform() < 0.2;
    out.predictions.insert(out.predictions.end(), {wrong ? 1 : 0, 0, 0});
    out.full.push_back(3);
    out.macs.insert(out.macs.end(), {1, 2, 3});
    const auto score = [&](double knows) {
      const double noise = random.uniform();
      return static_cast<float>(random.uniform() < knows ? (wrong ? 0.1 : 0.9) + 0.01 * noise : noise);
    };
    out.dull.insert(out.dull.end(), {score(0.2), 0.0f});
    out.keen.insert(out.keen.end(), {score(skill), 0.0f});
  }
  return out;
}

Interval gain(const Sample& s, const std::vector<float>& one, const std::vector<float>& other, double budget) {
  return paired_saving(s.predictions, 3, s.full, {one, s.macs}, {other, s.macs}, budget, 1);
}

TEST(PairedSaving, SeesAScoreThatKnowsMore) {
  const Sample s = draw(500, 0.98, 1);
  const Interval found = gain(s, s.dull, s.keen, 0.02);
  EXPECT_GT(found.low, 0.05);
  EXPECT_LE(found.low, found.mean);
  EXPECT_LE(found.mean, found.high);
  EXPECT_LT(gain(s, s.keen, s.dull, 0.02).high, -0.05);
  const Interval same = gain(s, s.keen, s.keen, 0.02);
  EXPECT_EQ(same.low, 0);
  EXPECT_EQ(same.high, 0);
}

// Where a threshold hangs on a few rows, equal scores differ by luck: a lead as found is no lead by the interval.
TEST(PairedSaving, LuckAtAFewRowsIsNoLead) {
  int leads = 0, proven = 0;
  for (std::uint64_t seed = 1; seed <= 24; ++seed) {
    const Sample s = draw(300, 0.2, seed);
    const Interval found = gain(s, s.dull, s.keen, 0.01);
    leads += found.mean > 0 ? 1 : 0;
    proven += found.low > 0 ? 1 : 0;
  }
  EXPECT_GE(leads, 5);
  EXPECT_LE(proven, 3);
}

TEST(PairedSaving, NothingAndNoBudget) {
  EXPECT_EQ(paired_saving({}, 3, {}, {}, {}, 0.1, 1).high, 0);
  const Sample s = draw(50, 0.98, 3);
  EXPECT_EQ(gain(s, s.dull, s.keen, -1).high, 0) << "both run to the end";
}

}  // namespace
}  // namespace fathom::policy
