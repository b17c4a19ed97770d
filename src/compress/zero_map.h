// Which single weights of a linear map go, and what its others must become: optimal brain surgery column after column
// (Frantar and Alistarh 2023, "SparseGPT"). In blocks of 128 inputs those weights go whose loss changes the map's
// outputs least in the mean square over the data, and the weights of the inputs behind are fitted to what went; the
// bias takes its mean. Pure; double precision, one order: same arguments, same bits. Private to the room.
#pragma once

#include <cstddef>
#include <vector>

#include "compress/inputs.h"
#include "compress/zero_weights.h"

namespace fathom::compress {

struct Zeroed {
  std::vector<float> weights;      // [outputs, inputs]
  std::vector<float> bias_change;  // [outputs], to add to the bias
  double lost = 0, variance = 0;   // mean square change of the outputs, and their variance
};

// Maps that read the same inputs, which are known by their moments. Pure; double precision, one order.
class MapZeroes {
 public:
  MapZeroes(const Moments& moments, std::size_t rows);  // rows > 0: of the moments
  Zeroed of(const float* weights, std::size_t outputs,
            const ZeroChoice& choice) const;  // weights [outputs, moments.width]

 private:
  Inputs inputs_;
  Matrix u_;  // of the inverse of their covariance
};

}  // namespace fathom::compress
