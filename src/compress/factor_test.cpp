#include "compress/factor.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"

namespace fathom::compress {
namespace {

constexpr std::size_t kIn = 12;

std::vector<float> random_matrix(std::size_t rows, std::size_t columns, std::uint64_t seed) {
  Random random(seed, "factor");
  std::vector<float> out(rows * columns);
  for (float& value : out) value = static_cast<float>(random.normal());
  return out;
}

std::vector<float> product(const std::vector<float>& a, const std::vector<float>& b, std::size_t inner) {
  const std::size_t rows = a.size() / inner, columns = b.size() / inner;
  std::vector<float> out(rows * columns);
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < columns; ++j) {
      double sum = 0;
      for (std::size_t k = 0; k < inner; ++k)
        sum += static_cast<double>(a[i * inner + k]) * static_cast<double>(b[k * columns + j]);
      out[i * columns + j] = static_cast<float>(sum);
    }
  return out;
}

struct Rows {  // of inputs, and their moments
  std::vector<std::vector<double>> all;
  Moments moments{kIn};
};

// Directions of very different strength, mixed, around a mean that is not 0.
Rows uneven_rows(std::uint64_t seed) {
  Rows rows;
  Random random(seed, "rows");
  const std::vector<float> mix = random_matrix(kIn, kIn, seed + 1);
  for (int r = 0; r < 400; ++r) {
    std::vector<double> z(kIn), x(kIn, 1.5);
    for (std::size_t i = 0; i < kIn; ++i) z[i] = random.normal() * std::pow(0.5, static_cast<double>(i));
    for (std::size_t i = 0; i < kIn; ++i)
      for (std::size_t k = 0; k < kIn; ++k) x[i] += static_cast<double>(mix[i * kIn + k]) * z[k];
    for (std::size_t i = 0; i < kIn; ++i) rows.moments.sums[i] += x[i];
    for (std::size_t i = 0; i < kIn; ++i)
      for (std::size_t k = 0; k < kIn; ++k) rows.moments.products[i * kIn + k] += static_cast<float>(x[i] * x[k]);
    rows.all.push_back(x);
  }
  return rows;
}

// Of the outputs' variance on the rows, what W x - (L R x + change) still has; its mean beside it.
struct Left {
  double variance = 0, mean = 0;
};
Left left_over(const std::vector<float>& weights, const Factors& factors, std::size_t map, const Rows& rows) {
  const std::size_t out = weights.size() / kIn, rank = factors.right.size() / kIn;
  const auto& left = factors.left[map];
  const std::vector<float> both = product(left.weights, factors.right, rank);
  double total = 0, rest = 0, mean_size = 0;
  for (std::size_t n = 0; n < out; ++n) {
    double sum = 0, squares = 0, gap_sum = 0, gap_squares = 0;
    for (const auto& x : rows.all) {
      double y = 0, z = static_cast<double>(left.bias_change[n]);
      for (std::size_t k = 0; k < kIn; ++k)
        y += static_cast<double>(weights[n * kIn + k]) * x[k], z += static_cast<double>(both[n * kIn + k]) * x[k];
      sum += y, squares += y * y, gap_sum += y - z, gap_squares += (y - z) * (y - z);
    }
    const double count = static_cast<double>(rows.all.size());
    total += squares / count - std::pow(sum / count, 2);
    rest += gap_squares / count - std::pow(gap_sum / count, 2);
    mean_size += std::fabs(gap_sum / count);
  }
  return {rest / total, mean_size};
}

TEST(Factor, AMatrixOfLowRankComesBackWhole) {
  const std::vector<float> weights = product(random_matrix(9, 3, 1), random_matrix(3, kIn, 2), 3);
  const Factoring factoring({{weights, nullptr, 0}}, kIn, 5);
  EXPECT_NEAR(factoring.kept(3), 1.0, 1e-9);
  EXPECT_LT(factoring.kept(2), 0.999);
  const Factors factors = factoring.take(3);
  const std::vector<float> both = product(factors.left[0].weights, factors.right, 3);
  for (std::size_t i = 0; i < weights.size(); ++i) EXPECT_NEAR(both[i], weights[i], 1e-4);
  for (const float change : factors.left[0].bias_change) EXPECT_EQ(change, 0.0f) << "nothing is known of the inputs";
  EXPECT_NEAR(factors.left[0].lost, 0.0, 1e-6);
}

TEST(Factor, KeptIsWhatTheBestRankKeepsOfTheWeights) {  // tall and wide: the two ways to the same directions
  for (const std::size_t out : {std::size_t{7}, std::size_t{30}}) {
    const std::vector<float> weights = random_matrix(out, kIn, out);
    const Factoring factoring({{weights, nullptr, 0}}, kIn, 6);
    for (const std::size_t rank : {std::size_t{1}, std::size_t{4}, std::size_t{6}}) {
      const Factors factors = factoring.take(rank);
      const std::vector<float> both = product(factors.left[0].weights, factors.right, rank);
      double rest = 0, all = 0;
      for (std::size_t i = 0; i < weights.size(); ++i)
        rest += std::pow(static_cast<double>(weights[i] - both[i]), 2),
            all += std::pow(static_cast<double>(weights[i]), 2);
      EXPECT_NEAR(1 - rest / all, factoring.kept(rank), 1e-5);
      EXPECT_NEAR(factors.left[0].lost, rest / all, 1e-5);
    }
    EXPECT_NEAR(factoring.kept(kIn), 1.0, 1e-9);
  }
}

TEST(Factor, WhatItSaysIsLostIsLostOnTheRows) {
  const Rows rows = uneven_rows(5);
  for (const std::size_t out : {std::size_t{8}, std::size_t{20}}) {
    const std::vector<float> weights = random_matrix(out, kIn, 40 + out);
    const Factoring factoring({{weights, &rows.moments, rows.all.size()}}, kIn, 6);
    for (const std::size_t rank : {std::size_t{2}, std::size_t{5}}) {
      const Factors factors = factoring.take(rank);
      const Left left = left_over(weights, factors, 0, rows);
      EXPECT_NEAR(left.variance, factors.left[0].lost, 2e-3) << out << " " << rank;
      EXPECT_NEAR(1 - left.variance, factoring.kept(rank), 2e-3);
      EXPECT_LT(left.mean, 1e-3 * static_cast<double>(out)) << "the bias takes the mean of what went";
    }
  }
}

TEST(Factor, InputsCount) {  // what data uses is kept better than by the weights alone
  const Rows rows = uneven_rows(9);
  const std::vector<float> weights = random_matrix(20, kIn, 3);
  const Factors by_data = Factoring({{weights, &rows.moments, rows.all.size()}}, kIn, 3).take(3);
  const Factors by_weights = Factoring({{weights, nullptr, 0}}, kIn, 3).take(3);
  EXPECT_LT(left_over(weights, by_data, 0, rows).variance, 0.5 * left_over(weights, by_weights, 0, rows).variance);
}

TEST(Factor, OneFactorForSeveralMapsEachFittedOnItsOwnInputs) {
  const Rows first = uneven_rows(11), second = uneven_rows(12);
  const std::vector<float> a = random_matrix(20, kIn, 13), b = random_matrix(20, kIn, 14);
  const Factoring joint({{a, &first.moments, first.all.size()}, {b, &second.moments, second.all.size()}}, kIn, 6);
  const Factors factors = joint.take(5);
  ASSERT_EQ(factors.left.size(), 2u);
  const double lost_a = left_over(a, factors, 0, first).variance, lost_b = left_over(b, factors, 1, second).variance;
  EXPECT_NEAR(lost_a, factors.left[0].lost, 2e-3);
  EXPECT_NEAR(lost_b, factors.left[1].lost, 2e-3);
  const double own =
      left_over(a, Factoring({{a, &first.moments, first.all.size()}}, kIn, 6).take(5), 0, first).variance;
  EXPECT_GT(lost_a, own) << "a factor of its own is never worse";
  EXPECT_LT(lost_a, 1.0);
  // Beside the first factor, the fit is the best there is: nudged, it loses more.
  Factors nudged = factors;
  for (float& value : nudged.left[0].weights) value *= 1.05f;
  EXPECT_GT(left_over(a, nudged, 0, first).variance, lost_a);
}

TEST(Factor, InputsThatNeverMoveDoNoHarm) {
  Moments still(kIn);
  for (std::size_t i = 0; i < kIn; ++i) {
    still.sums[i] = 20;
    for (std::size_t k = 0; k < kIn; ++k) still.products[i * kIn + k] = 40;  // 2 everywhere, ten times
  }
  const std::vector<float> weights = random_matrix(5, kIn, 8);
  const Factors factors = Factoring({{weights, &still, 10}}, kIn, 2).take(2);
  for (const float value : factors.right) EXPECT_TRUE(std::isfinite(value));
  for (std::size_t n = 0; n < 5; ++n) {
    double before = 0, after = static_cast<double>(factors.left[0].bias_change[n]);
    const std::vector<float> both = product(factors.left[0].weights, factors.right, 2);
    for (std::size_t k = 0; k < kIn; ++k)
      before += 2.0 * static_cast<double>(weights[n * kIn + k]), after += 2.0 * static_cast<double>(both[n * kIn + k]);
    EXPECT_NEAR(after, before, 1e-3);
  }
}

}  // namespace
}  // namespace fathom::compress
