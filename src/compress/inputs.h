// What a map's inputs look like on data, as matrices: mean and covariance of its moments. Private to the room.
#pragma once

#include <cstddef>

#include "compress/matrix.h"
#include "model/input_moments.h"

namespace fathom::compress {

struct Inputs {
  Matrix covariance;  // [width, width], exactly symmetric
  Vector mean;        // [width]
};

Inputs inputs_of(const Moments& moments, std::size_t rows);  // rows: that the moments are of

// Adds `share` of the mean variance to the diagonal: inputs that never moved may yet, and the matrix has an inverse.
void damp(Matrix& covariance, double share);

}  // namespace fathom::compress
