#include "compress/kronecker.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"

namespace fathom::compress {
namespace {

std::vector<float> random_matrix(std::size_t count, std::uint64_t seed) {
  Random random(seed, "kronecker");
  std::vector<float> out(count);
  for (float& value : out) value = static_cast<float>(random.normal());
  return out;
}

std::vector<float> expand(const KroneckerSum& sum, std::size_t out, std::size_t in) {
  const std::size_t rows_b = out / sum.shape.rows_a, columns_b = in / sum.shape.columns_a;
  std::vector<float> w(out * in);
  for (std::size_t t = 0; t < sum.a.size(); ++t)
    for (std::size_t i = 0; i < out; ++i)
      for (std::size_t j = 0; j < in; ++j)
        w[i * in + j] += sum.a[t][(i / rows_b) * sum.shape.columns_a + j / columns_b] *
                         sum.b[t][(i % rows_b) * columns_b + j % columns_b];
  return w;
}

double gap(const std::vector<float>& a, const std::vector<float>& b) {  // share of a's squares
  double rest = 0, all = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    rest += std::pow(static_cast<double>(a[i] - b[i]), 2), all += std::pow(static_cast<double>(a[i]), 2);
  return rest / all;
}

TEST(Kronecker, AProductComesBackInOneTerm) {
  const KroneckerSum made{{2, 3}, {random_matrix(6, 1)}, {random_matrix(20, 2)}, 0};  // 2x3 (x) 4x5 = 8 x 15
  const std::vector<float> weights = expand(made, 8, 15);
  const KroneckerSum found = nearest_kronecker(weights, 8, 15, {2, 3}, 1);
  EXPECT_NEAR(found.kept, 1.0, 1e-9);
  EXPECT_LT(gap(weights, expand(found, 8, 15)), 1e-9);
}

TEST(Kronecker, KeptIsWhatTheTermsKeepAndAllTermsAreTheMatrix) {
  for (const KroneckerShape shape : {KroneckerShape{2, 3}, KroneckerShape{4, 5}}) {  // fewer numbers in a, and in b
    const std::vector<float> weights = random_matrix(8 * 15, 7);
    double before = 1;
    for (const std::size_t terms : {std::size_t{1}, std::size_t{3}, std::size_t{6}}) {
      const KroneckerSum sum = nearest_kronecker(weights, 8, 15, shape, terms);
      const double lost = gap(weights, expand(sum, 8, 15));
      EXPECT_NEAR(lost, 1 - sum.kept, 1e-6);
      EXPECT_LT(lost, before);
      before = lost;
    }
    EXPECT_NEAR(before, 0.0, 1e-9) << "6 numbers in the smaller factor";
  }
}

TEST(Kronecker, EvenShapesAndCosts) {
  const KroneckerShape square = even_shape(768, 768);
  EXPECT_EQ(768 % square.rows_a + 768 % square.columns_a, 0u);
  EXPECT_EQ(kronecker_numbers(768, 768, square, 1), 2 * 768.0);
  // A term of 32x24 (x) 24x32 has the numbers of one rank of a 768x768 map and at least 24 times its multiply-adds.
  EXPECT_GE(kronecker_macs(768, 768, square, 1), 24 * 2 * 768.0);
}

}  // namespace
}  // namespace fathom::compress
