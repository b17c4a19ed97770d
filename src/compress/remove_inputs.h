// Which groups of inputs a linear map can lose, and what its other weights must become: optimal brain surgery on groups
// (Hassibi and Stork 1993; for groups of a transformer's map Kurtic et al. 2023, "ZipLM"). A group goes when losing it
// changes the map's outputs least in the mean square over the data; the weights that stay are the least-squares fit of
// what went, the bias takes its mean. Pure function of its arguments; double precision, one order: same arguments, same
// bits.
#pragma once

#include <cstddef>
#include <vector>

#include "model/input_moments.h"

namespace fathom::compress {

struct Reduced {
  std::vector<std::size_t> kept;   // groups, rising
  std::vector<float> weights;      // [outputs, kept * group]
  std::vector<float> bias_change;  // [outputs], to add to the bias
  double lost = 0;                 // mean square change of the outputs over their variance
};

// weights [outputs, moments.width], inputs in groups of `group`; keeps `keep` groups (1 .. width / group). rows: of the
// moments.
Reduced remove_inputs(const float* weights, std::size_t outputs, std::size_t group, std::size_t keep,
                      const Moments& moments, std::size_t rows);

}  // namespace fathom::compress
