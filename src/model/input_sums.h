// What the maps of the layers read, added up over rows: engine::Session fills it, compress corrects biases by it.
// [layers][3 hidden + ffn] each: of a layer the inputs of q, k and v [hidden], of o [hidden], of f1 [hidden], of f2 [ffn].
// Plain values.
#pragma once

#include <cstddef>
#include <vector>

#include "model/spec.h"

namespace fathom {

struct InputSums {
  explicit InputSums(const ModelSpec& spec)
      : hidden(static_cast<std::size_t>(spec.hidden)), ffn(static_cast<std::size_t>(spec.ffn)),
        exact(static_cast<std::size_t>(spec.layers) * layer_width()), rounded(exact.size()) {}
  std::size_t layer_width() const { return 3 * hidden + ffn; }

  std::size_t hidden, ffn, rows = 0;
  std::vector<double> exact;    // of the inputs
  std::vector<double> rounded;  // of the inputs as the tier's int8 rows hold them
};

}  // namespace fathom
