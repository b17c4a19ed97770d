// How many inputs a pass without gradients takes at once: 64, and fewer long ones, whose activations would leave the
// caches and come from the system anew with every layer.
#pragma once

#include <algorithm>
#include <cstdint>

#include "model/spec.h"

namespace fathom::train {

inline std::int64_t rows_at_once(const ModelSpec& spec) {
  return std::clamp<std::int64_t>(64 * 256 / spec.tokens(), 1, 64);
}

}  // namespace fathom::train
