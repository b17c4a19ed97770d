// Heads and neurons of the feed-forward blocks taken out of every layer, as many from each: the matrices are smaller
// afterwards, so the bundle is a plain smaller model in files, memory and time. Which go is chosen layer by layer by
// what the outputs of o and f2 lose on data (compress/remove_inputs.h), and the weights that stay are fitted to what
// went. No gradients, no labels.
//   neurons: rows of intermediate.dense, columns of output.dense; kept in multiples of 32 where there are 64 and more.
//   heads: rows of q, k and v, columns of attention.output.dense; the width of a head stays (ModelSpec::head_size).
// Exits, policy, predictor, tokenizer and preprocessing are copied. Operating points, budget table and certificate are
// left out: they speak of other answers. A Hugging Face folder of which only neurons went still loads in transformers;
// heads it has no word for. Same bundle, shares and moments, same bytes; the input is not touched. Errors: unsupported
// (a bundle whose layers are not in fp32), usage (shares), corrupt_bundle, io. Thread rule: one call at a time on one
// output folder.
#pragma once

#include <filesystem>
#include <vector>

#include "base/result.h"
#include "compress/rewrite.h"

namespace fathom::compress {

struct PruneShares {  // of all that are there, taken out: 0 <= share < 1
  double heads = 0, ffn = 0;
};

struct PruneReport {
  int heads = 0, ffn = 0;  // left in each layer
  struct Layer {
    double heads_lost = 0, ffn_lost = 0;  // of the variance of the outputs of o and f2, after the fit
  };
  std::vector<Layer> layers;
};

// What is left of `count` parts when `share` of them goes: at least one, and of 64 and more a multiple of 32.
int left_of(int count, double share);

// moments: of o and f2 at least.
Result<PruneReport> prune(const std::filesystem::path& bundle, const std::filesystem::path& out,
                          const PruneShares& shares, const MomentsOf& moments);

}  // namespace fathom::compress
