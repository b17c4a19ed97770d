// Single weights of the layers' maps set to zero: a share of them, or two of every four that follow one another in a
// row (2:4, the pattern that sparse tensor cores know). Nothing gets smaller or faster in this engine, which stores and
// multiplies zeros like any number; it is what single weights cost in accuracy, to compare, and to hand on to what
// gains from zeros. Which go, and what the others become: compress/zero_map.h. The names stay, so `transformers` loads
// what it loaded before. Same bundle, choice and moments, same bytes; the input is not touched. A certificate,
// operating points and a budget table are left out. Errors: unsupported (layers not in fp32, folded maps), usage (the
// choice), corrupt_bundle, io. Thread rule: one call at a time on one output folder.
#pragma once

#include <array>
#include <filesystem>
#include <vector>

#include "base/result.h"
#include "compress/rewrite.h"

namespace fathom::compress {

struct ZeroChoice {
  double share = 0;          // of the weights of every block of inputs: 0 <= share < 1
  bool two_of_four = false;  // instead of a share
  bool any() const { return share > 0 || two_of_four; }
};

struct ZeroReport {
  double zeros = 0;              // of all weights of the layers' maps
  std::array<double, 4> lost{};  // qkv, o, f1, f2: of the variance of their outputs, the mean over layers
};

// moments: of all four maps.
Result<ZeroReport> zero_weights(const std::filesystem::path& bundle, const std::filesystem::path& out,
                                const ZeroChoice& choice, const MomentsOf& moments);

}  // namespace fathom::compress
