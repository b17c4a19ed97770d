#include "compress/inputs.h"

#include <algorithm>

namespace fathom::compress {

Inputs inputs_of(const Moments& moments, std::size_t rows) {
  const Index in = index(moments.width);
  const double n = static_cast<double>(std::max<std::size_t>(rows, 1));  // of no rows: inputs that never move
  Inputs out{widened(moments.products.data(), in, in) / n, Eigen::Map<const Vector>(moments.sums.data(), in) / n};
  out.covariance -= out.mean * out.mean.transpose();
  out.covariance = (0.5 * (out.covariance + out.covariance.transpose())).eval();
  return out;
}

void damp(Matrix& covariance, double share) {
  const double floor = share * covariance.trace() / static_cast<double>(covariance.rows());
  covariance.diagonal() = (covariance.diagonal().cwiseMax(0.0).array() + (floor > 0 ? floor : 1.0)).matrix();
}

}  // namespace fathom::compress
