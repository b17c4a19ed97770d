#include "compress/remove_inputs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/random.h"

namespace fathom::compress {
namespace {

struct Data {  // rows of inputs and a map that reads them
  std::size_t rows, inputs, outputs;
  std::vector<double> x;       // [rows, inputs]
  std::vector<float> weights;  // [outputs, inputs]
  Moments moments;

  Data(std::size_t n, std::size_t width, std::size_t height, std::uint64_t seed)
      : rows(n), inputs(width), outputs(height), x(n * width), weights(height * width), moments(width) {
    Random random(seed, "remove_inputs");
    for (double& value : x) value = random.normal();
    for (float& value : weights) value = static_cast<float>(random.normal());
  }
  void add_up() {
    moments = Moments(inputs);
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t i = 0; i < inputs; ++i) {
        moments.sums[i] += x[r * inputs + i];
        for (std::size_t j = 0; j < inputs; ++j)
          moments.products[i * inputs + j] += static_cast<float>(x[r * inputs + i] * x[r * inputs + j]);
      }
  }
  double output(std::size_t row, std::size_t n) const {
    double sum = 0;
    for (std::size_t i = 0; i < inputs; ++i) sum += static_cast<double>(weights[n * inputs + i]) * x[row * inputs + i];
    return sum;
  }
  double output_of(const Reduced& reduced, std::size_t group, std::size_t row, std::size_t n) const {
    double sum = static_cast<double>(reduced.bias_change[n]);
    const std::size_t width = reduced.kept.size() * group;
    for (std::size_t i = 0; i < width; ++i)
      sum += static_cast<double>(reduced.weights[n * width + i]) *
             x[row * inputs + reduced.kept[i / group] * group + i % group];
    return sum;
  }
  // Mean square difference of all outputs, over their variance.
  double loss(const Reduced& reduced, std::size_t group) const {
    double square = 0, variance = 0;
    for (std::size_t n = 0; n < outputs; ++n) {
      double mean = 0;
      for (std::size_t r = 0; r < rows; ++r) mean += output(r, n) / static_cast<double>(rows);
      for (std::size_t r = 0; r < rows; ++r) {
        square += std::pow(output(r, n) - output_of(reduced, group, r, n), 2);
        variance += std::pow(output(r, n) - mean, 2);
      }
    }
    return square / variance;
  }
};

TEST(RemoveInputs, NothingGoesNothingChanges) {
  Data data(200, 8, 5, 1);
  data.add_up();
  const Reduced all = remove_inputs(data.weights.data(), data.outputs, 2, 4, data.moments, data.rows);
  EXPECT_EQ(all.kept, (std::vector<std::size_t>{0, 1, 2, 3}));
  EXPECT_EQ(all.weights, data.weights);
  for (const float change : all.bias_change) EXPECT_EQ(change, 0.0f);
  EXPECT_EQ(all.lost, 0.0);
}

TEST(RemoveInputs, WhatOthersSayGoesFirstAndIsTakenOver) {
  Data data(400, 6, 4, 2);
  for (std::size_t r = 0; r < data.rows; ++r) {
    double* x = data.x.data() + r * data.inputs;
    x[3] = 7;                          // a constant: the bias can say it
    x[4] = 0.5 * x[0] - 2 * x[1] + 3;  // a mixture of two others
  }
  data.add_up();
  const Reduced reduced = remove_inputs(data.weights.data(), data.outputs, 1, 4, data.moments, data.rows);
  EXPECT_EQ(reduced.kept.size(), 4u);
  EXPECT_EQ(std::count(reduced.kept.begin(), reduced.kept.end(), 3u), 0);
  for (const std::size_t free : {2u, 5u})
    EXPECT_EQ(std::count(reduced.kept.begin(), reduced.kept.end(), free), 1) << free;
  EXPECT_LT(data.loss(reduced, 1), 1e-4);
  for (std::size_t n = 0; n < data.outputs; ++n)
    EXPECT_NEAR(data.output(7, n), data.output_of(reduced, 1, 7, n), 0.05) << n;
}

// The least-squares map from the kept inputs and a constant, by Gaussian elimination on the normal equations.
Reduced fitted(const Data& data, std::size_t group, const std::vector<std::size_t>& kept) {
  const std::size_t width = kept.size() * group, n = width + 1;
  const auto input = [&](std::size_t row, std::size_t i) {
    return i == width ? 1.0 : data.x[row * data.inputs + kept[i / group] * group + i % group];
  };
  Reduced out{kept, std::vector<float>(data.outputs * width), std::vector<float>(data.outputs), 0};
  for (std::size_t o = 0; o < data.outputs; ++o) {
    std::vector<double> a(n * (n + 1), 0.0);
    for (std::size_t r = 0; r < data.rows; ++r)
      for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = 0; j < n; ++j) a[i * (n + 1) + j] += input(r, i) * input(r, j);
        a[i * (n + 1) + n] += input(r, i) * data.output(r, o);
      }
    for (std::size_t k = 0; k < n; ++k)
      for (std::size_t i = 0; i < n; ++i) {
        if (i == k) continue;
        const double times = a[i * (n + 1) + k] / a[k * (n + 1) + k];
        for (std::size_t j = k; j <= n; ++j) a[i * (n + 1) + j] -= times * a[k * (n + 1) + j];
      }
    for (std::size_t i = 0; i < width; ++i)
      out.weights[o * width + i] = static_cast<float>(a[i * (n + 1) + n] / a[i * (n + 1) + i]);
    out.bias_change[o] = static_cast<float>(a[width * (n + 1) + n] / a[width * (n + 1) + width]);
  }
  return out;
}

TEST(RemoveInputs, TheCheapestGroupGoesAndTheRestIsTheBestFit) {
  for (const std::size_t group : {1u, 3u})
    for (std::uint64_t seed = 3; seed < 9; ++seed) {
      Data data(300, 12, 3, seed);
      for (std::size_t r = 0; r < data.rows; ++r)  // inputs that know of one another
        for (std::size_t i = 1; i < data.inputs; ++i)
          data.x[r * data.inputs + i] += 0.7 * data.x[r * data.inputs + i - 1];
      data.add_up();
      const std::size_t groups = data.inputs / group;
      const Reduced chosen =
          remove_inputs(data.weights.data(), data.outputs, group, groups - 1, data.moments, data.rows);
      EXPECT_NEAR(chosen.lost, data.loss(chosen, group), 1e-3 * chosen.lost + 1e-6) << group << " " << seed;
      EXPECT_LE(chosen.lost, 1.01 * data.loss(fitted(data, group, chosen.kept), group))
          << "the best fit of what is kept";
      const Reduced half = remove_inputs(data.weights.data(), data.outputs, group, groups / 2, data.moments,
                                         data.rows);  // one after another
      EXPECT_LE(half.lost, 1.01 * data.loss(fitted(data, group, half.kept), group))
          << "the best fit of the half that is kept";
      for (std::size_t gone = 0; gone < groups; ++gone) {
        std::vector<std::size_t> kept;
        for (std::size_t g = 0; g < groups; ++g)
          if (g != gone) kept.push_back(g);
        EXPECT_LE(chosen.lost, 1.01 * data.loss(fitted(data, group, kept), group)) << "group " << gone << " instead";
      }
    }
}

TEST(RemoveInputs, SameArgumentsSameBits) {
  Data data(100, 16, 7, 11);
  data.add_up();
  const auto once = remove_inputs(data.weights.data(), data.outputs, 4, 2, data.moments, data.rows),
             twice = remove_inputs(data.weights.data(), data.outputs, 4, 2, data.moments, data.rows);
  EXPECT_EQ(once.kept, twice.kept);
  EXPECT_EQ(std::memcmp(once.weights.data(), twice.weights.data(), once.weights.size() * sizeof(float)), 0);
}

// Inputs that never move, and no rows at all: no division by zero, something stays.
TEST(RemoveInputs, StillInputs) {
  Data data(50, 4, 2, 12);
  std::fill(data.x.begin(), data.x.end(), 0.0);
  data.add_up();
  for (const std::size_t rows : {data.rows, std::size_t{0}}) {
    const Reduced reduced = remove_inputs(data.weights.data(), data.outputs, 1, 2, data.moments, rows);
    EXPECT_EQ(reduced.kept.size(), 2u);
    for (const float value : reduced.weights) EXPECT_TRUE(std::isfinite(value));
  }
}

}  // namespace
}  // namespace fathom::compress
