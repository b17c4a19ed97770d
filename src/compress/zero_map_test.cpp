#include "compress/zero_map.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/random.h"

namespace fathom::compress {
namespace {

// Rows of inputs that move together, and a map that reads them.
struct Data {
  std::size_t rows = 400, inputs, outputs;
  std::vector<double> x;
  std::vector<float> weights;
  Moments moments;

  Data(std::size_t width, std::size_t height, double together, std::uint64_t seed)
      : inputs(width), outputs(height), x(rows * width), weights(width * height), moments(width) {
    Random random(seed, "zero_weights");
    for (std::size_t r = 0; r < rows; ++r) {
      const double common = together * random.normal();
      for (std::size_t i = 0; i < width; ++i)
        x[r * width + i] = 0.3 + (common + random.normal()) / static_cast<double>(1 + i % 5);
    }
    for (float& value : weights) value = static_cast<float>(random.normal());
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t i = 0; i < width; ++i) {
        moments.sums[i] += x[r * width + i];
        for (std::size_t j = 0; j < width; ++j)
          moments.products[i * width + j] += static_cast<float>(x[r * width + i] * x[r * width + j]);
      }
  }
  // Sum over outputs of the mean square of what other weights and bias compute less.
  double loss(const std::vector<float>& other, const std::vector<float>& bias_change) const {
    double sum = 0;
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t n = 0; n < outputs; ++n) {
        double less = -static_cast<double>(bias_change[n]);
        for (std::size_t i = 0; i < inputs; ++i)
          less += static_cast<double>(weights[n * inputs + i] - other[n * inputs + i]) * x[r * inputs + i];
        sum += less * less / static_cast<double>(rows);
      }
    return sum;
  }
  // The smallest weights gone, the others as they are, the bias with the mean of what went.
  double loss_by_magnitude(double share) const {
    std::vector<std::size_t> order(weights.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(),
              [&](std::size_t a, std::size_t b) { return std::abs(weights[a]) < std::abs(weights[b]); });
    std::vector<float> left = weights, mean(outputs);
    for (std::size_t i = 0; i < static_cast<std::size_t>(share * static_cast<double>(order.size())); ++i) {
      left[order[i]] = 0;
      mean[order[i] / inputs] += static_cast<float>(static_cast<double>(weights[order[i]]) *
                                                    moments.sums[order[i] % inputs] / static_cast<double>(rows));
    }
    return loss(left, mean);
  }
};

TEST(ZeroMap, ItsLossIsWhatTheOutputsLose) {
  for (const std::size_t width : {8, 50, 300}) {
    const Data data(width, 24, 2.0, width);
    for (const ZeroChoice& choice : {ZeroChoice{0.5, false}, ZeroChoice{0.8, false}, ZeroChoice{0, true}}) {
      const Zeroed made = MapZeroes(data.moments, data.rows).of(data.weights.data(), data.outputs, choice);
      EXPECT_NEAR(made.lost, data.loss(made.weights, made.bias_change), 2e-3 * made.lost) << width;
      EXPECT_LT(made.lost, made.variance);
    }
  }
}

TEST(ZeroMap, FitsWhatStaysToWhatWent) {  // where inputs move together, others take over
  const Data data(300, 24, 2.0, 7);
  for (const double share : {0.3, 0.5, 0.7}) {
    const Zeroed made = MapZeroes(data.moments, data.rows).of(data.weights.data(), data.outputs, {share, false});
    EXPECT_LT(made.lost, 0.5 * data.loss_by_magnitude(share)) << share;
    const auto zeros = static_cast<double>(std::count(made.weights.begin(), made.weights.end(), 0.0f));
    EXPECT_NEAR(zeros, share * static_cast<double>(made.weights.size()), 3)
        << share;  // a rounding in each of three blocks
  }
  const MapZeroes of_map(data.moments, data.rows);
  const Zeroed two = of_map.of(data.weights.data(), data.outputs, {0, true}),
               half = of_map.of(data.weights.data(), data.outputs, {0.5, false});
  EXPECT_GT(two.lost, half.lost);  // the pattern costs
}

TEST(ZeroMap, TwoOfFour) {
  for (const std::size_t width : {4, 6, 130, 135}) {
    const Data data(width, 9, 1.0, width);
    const Zeroed made = MapZeroes(data.moments, data.rows).of(data.weights.data(), data.outputs, {0, true});
    for (std::size_t n = 0; n < data.outputs; ++n)
      for (std::size_t i = 0; i < width; i += 4) {
        const std::size_t four = std::min<std::size_t>(4, width - i);
        const auto at = made.weights.begin() + static_cast<std::ptrdiff_t>(n * width + i);
        EXPECT_EQ(static_cast<std::size_t>(std::count(at, at + static_cast<std::ptrdiff_t>(four), 0.0f)), four / 2)
            << width << " row " << n << " from " << i;
      }
  }
}

TEST(ZeroMap, WithoutCompanyAWeightStaysAsItIs) {
  const std::size_t width = 16, height = 5;
  Data data(width, height, 0.0, 3);
  std::fill(data.moments.sums.begin(), data.moments.sums.end(), 0.0);
  std::fill(data.moments.products.begin(), data.moments.products.end(), 0.0f);
  for (std::size_t i = 0; i < width; ++i)
    data.moments.products[i * width + i] = static_cast<float>(data.rows) * (i < 8 ? 100.0f : 1.0f);
  const Zeroed made = MapZeroes(data.moments, data.rows).of(data.weights.data(), height, {0.5, false});
  for (std::size_t i = 0; i < made.weights.size(); ++i) {
    if (made.weights[i] != 0.0f) {
      EXPECT_NEAR(made.weights[i], data.weights[i], 1e-6);
    } else {
      EXPECT_TRUE(i % width >= 8 || std::abs(data.weights[i]) < 0.5f)
          << "an input of ten times the strength lost " << data.weights[i];
    }
  }
}

}  // namespace
}  // namespace fathom::compress
