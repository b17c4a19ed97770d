#include "policy/theory.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace fathom::policy {
namespace {

using Doubles = std::vector<double>;

TEST(Theory, BoundOfEquation5) {
  EXPECT_NEAR(bound_eq5(0.9, 0.1, 4, 12), 5.52, 1e-12);  // 0.81 * 4 + 0.19 * 12
  EXPECT_EQ(bound_eq5(0, 0, 4, 12), 12);
  EXPECT_EQ(bound_eq5(1, 0, 4, 12), 4);
  EXPECT_EQ(bound_eq5(1, 1, 4, 12), 12);
}

TEST(Theory, Spearman) {
  EXPECT_NEAR(spearman(Doubles{1, 2, 3, 4}, Doubles{10, 20, 30, 1000}), 1.0, 1e-15);
  EXPECT_NEAR(spearman(Doubles{1, 2, 3, 4}, Doubles{4, 3, 2, 1}), -1.0, 1e-15);
  EXPECT_NEAR(spearman(Doubles{1, 2, 3, 4, 5}, Doubles{5, 6, 7, 8, 7}), 0.8207826816681233,
              1e-12);  // 8 / sqrt(10 * 9.5)
  // Ranks 1.5 1.5 3 and 1 2.5 2.5: covariance .75 over spreads 1.5 and 1.5.
  EXPECT_NEAR(spearman(Doubles{1, 1, 2}, Doubles{1, 2, 2}), 0.5, 1e-15);
  EXPECT_TRUE(std::isnan(spearman(Doubles{1, 1}, Doubles{1, 2})));
  EXPECT_TRUE(std::isnan(spearman(Doubles{1}, Doubles{1})));
  EXPECT_TRUE(std::isnan(spearman(Doubles{}, Doubles{})));
  EXPECT_TRUE(std::isnan(spearman(Doubles{1, std::nan("")}, Doubles{1, 2})));
}

TEST(Theory, MeanAbsoluteError) {
  EXPECT_EQ(mean_absolute_error(Doubles{1, 5, 3}, Doubles{2, 2, 3}), 4.0 / 3.0);
  EXPECT_EQ(mean_absolute_error(Doubles{}, Doubles{}), 0.0);
}

TEST(Theory, PairedBootstrap) {
  Doubles differences;
  for (int i = 0; i < 1000; ++i) differences.push_back(i < 60 ? -1 : i < 100 ? 1 : 0);
  const Interval interval = paired_bootstrap(differences, 1);
  EXPECT_NEAR(interval.mean, -0.02, 1e-12);
  // Standard error of the mean: sqrt((0.1 - 0.0004) / 1000) = 0.00998; the interval is about 1.96 of them each way.
  EXPECT_NEAR(interval.low, -0.02 - 1.96 * 0.00998, 0.002);
  EXPECT_NEAR(interval.high, -0.02 + 1.96 * 0.00998, 0.002);
  const Interval again = paired_bootstrap(differences, 1), other = paired_bootstrap(differences, 2);
  EXPECT_EQ(again.low, interval.low);
  EXPECT_EQ(again.high, interval.high);
  EXPECT_TRUE(other.low != interval.low || other.high != interval.high);
  const Interval constant = paired_bootstrap(Doubles{0.5, 0.5, 0.5}, 3);
  EXPECT_EQ(constant.low, 0.5);
  EXPECT_EQ(constant.high, 0.5);
  EXPECT_EQ(paired_bootstrap({}, 1).high, 0.0);
}

TEST(Theory, BinomialTail) {
  EXPECT_NEAR(binomial_tail(3, 1, 0.5), 0.5, 1e-15);             // (1 + 3) / 8
  EXPECT_NEAR(binomial_tail(4, 2, 0.25), 243.0 / 256.0, 1e-15);  // (81 + 108 + 54) / 256
  EXPECT_NEAR(binomial_tail(5, 2, 0.3), 0.83692, 1e-9);
  EXPECT_NEAR(binomial_tail(10, 0, 0.1) / std::pow(0.9, 10), 1.0, 1e-13);
  EXPECT_NEAR(binomial_tail(100000, 0, 0.5), 0.0, 1e-300);
  EXPECT_NEAR(binomial_tail(100001, 50000, 0.5), 0.5, 1e-9);
  EXPECT_GT(binomial_tail(100000, 300, 0.003), 0.4);  // no underflow
  EXPECT_LT(binomial_tail(100000, 200, 0.003), 1e-8);
  EXPECT_EQ(binomial_tail(0, 0, 0.5), 1.0);
  EXPECT_EQ(binomial_tail(5, 5, 0.5), 1.0);
  EXPECT_EQ(binomial_tail(5, 9, 0.5), 1.0);
  EXPECT_EQ(binomial_tail(5, 2, 0.0), 1.0);
  EXPECT_EQ(binomial_tail(5, 2, 1.0), 0.0);
}

// Sample sizes at which k disagreements still certify delta at alpha = 5 %.
TEST(Theory, BinomialTailGivesTheKnownSampleSizes) {
  const auto smallest = [](std::size_t k, double delta) {
    std::size_t n = k + 1;
    while (binomial_tail(n, k, delta) > 0.05) ++n;
    return n;
  };
  EXPECT_EQ(smallest(0, 0.01), 299u);
  EXPECT_EQ(smallest(1, 0.01), 473u);
  EXPECT_EQ(smallest(2, 0.01), 628u);
  EXPECT_EQ(smallest(10, 0.01), 1693u);
  EXPECT_EQ(smallest(0, 0.003), 998u);
}

}  // namespace
}  // namespace fathom::policy
