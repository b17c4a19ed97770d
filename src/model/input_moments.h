// First and second moments of what two maps of one layer read: o (the heads' mixtures, side by side) and f2 (the neurons of the
// feed-forward block). eval adds them over rows of data, compress chooses by them what can go. Plain values.
#pragma once

#include <cstddef>
#include <vector>

#include "model/spec.h"

namespace fathom {

struct Moments {
  explicit Moments(std::size_t inputs) : width(inputs), sums(inputs), products(inputs * inputs) {}
  std::size_t width;
  std::vector<double> sums;     // [width] of x
  std::vector<float> products;  // [width, width] of x x^T
};

struct InputMoments {
  explicit InputMoments(const ModelSpec& spec) : mixed(static_cast<std::size_t>(spec.attention_width())), inner(static_cast<std::size_t>(spec.ffn)) {}
  Moments mixed;  // inputs of o
  Moments inner;  // inputs of f2
  std::size_t rows = 0;
};

}  // namespace fathom
