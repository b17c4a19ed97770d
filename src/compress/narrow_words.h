// A word table of narrower rows and one projection back ("half embedding"; ModelSpec::word_width): each
// word's row becomes its principal components among all words, which count as often as data uses them and once more.
// What the rest adds on average goes into the positions, which every token has. No gradients, no labels. What is copied
// and left out, determinism, errors: as in compress/prune.h.
#pragma once

#include <filesystem>
#include <vector>

#include "base/result.h"

namespace fathom::compress {

struct NarrowReport {
  int before = 0, after = 0;  // width
  double lost = 0;            // of the variance of a token's word row
};

// uses: [vocab], how often data uses each word; empty: unknown. Error: unsupported, a model of pictures or one with
// narrow rows already.
Result<NarrowReport> narrow_words(const std::filesystem::path& bundle, const std::filesystem::path& out, int width,
                                  const std::vector<double>& uses);

}  // namespace fathom::compress
