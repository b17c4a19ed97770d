// First and second moments of what the maps of one layer read: qkv [hidden], o (the heads' mixtures, side by side), f1
// [hidden] and f2 (the neurons of the feed-forward block). eval adds them over rows of data; compress chooses by them
// what can go. Plain values.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "model/names.h"
#include "model/spec.h"

namespace fathom {

struct Moments {
  explicit Moments(std::size_t inputs = 0) : width(inputs), sums(inputs), products(inputs * inputs) {}
  std::size_t width;
  std::vector<double> sums;     // [width] of x
  std::vector<float> products;  // [width, width] of x x^T
};

using WantedMaps = std::array<bool, 4>;  // of layer_maps(): qkv, o, f1, f2

struct InputMoments {
  explicit InputMoments(const ModelSpec& spec, const WantedMaps& wanted = {true, true, true, true}) {
    const std::array<LayerMap, 4> maps = layer_maps(spec);
    for (std::size_t i = 0; i < maps.size(); ++i)
      if (wanted[i]) of[i] = Moments(static_cast<std::size_t>(maps[i].in));
  }
  std::array<Moments, 4> of;  // width 0: not wanted
  std::size_t rows = 0;
};

}  // namespace fathom
