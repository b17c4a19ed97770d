// What the maps of the layers read, added up over rows: engine::Session::watch shows it, eval adds it, compress
// corrects biases by it. [layers][2 hidden + attention_width + ffn] each: of a layer the inputs of q, k and v [hidden],
// of o [attention_width], of f1 [hidden], of f2 [ffn]. Plain values.
#pragma once

#include <cstddef>
#include <vector>

#include "model/spec.h"

namespace fathom {

struct InputSums {
  explicit InputSums(const ModelSpec& spec)
      : hidden(static_cast<std::size_t>(spec.hidden)),
        mixed(static_cast<std::size_t>(spec.attention_width())),
        ffn(static_cast<std::size_t>(spec.ffn)),
        exact(static_cast<std::size_t>(spec.layers) * layer_width()),
        rounded(exact.size()) {}
  std::size_t layer_width() const { return 2 * hidden + mixed + ffn; }
  // Where a layer's inputs of each map begin in its sums.
  std::size_t at_o() const { return hidden; }
  std::size_t at_f1() const { return hidden + mixed; }
  std::size_t at_f2() const { return 2 * hidden + mixed; }

  std::size_t hidden, mixed, ffn, rows = 0;
  std::vector<double> exact;    // of the inputs
  std::vector<double> rounded;  // of the inputs as the tier's int8 rows hold them
};

}  // namespace fathom
