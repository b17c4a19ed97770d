// Matrices of compress's arithmetic: Eigen's, row-major as our tensors are, in double; floats as they come and go.
// Private to the room.
#pragma once

#include <Eigen/Dense>
#include <Eigen/Eigenvalues>
#include <vector>

namespace fathom::compress {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using FloatMatrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Vector = Eigen::VectorXd;
using Index = Eigen::Index;

inline Index index(std::size_t value) { return static_cast<Index>(value); }

inline Matrix widened(const float* values, Index rows, Index columns) {
  return Eigen::Map<const FloatMatrix>(values, rows, columns).cast<double>();
}

inline std::vector<float> floats(const Matrix& matrix) {
  const FloatMatrix narrow = matrix.cast<float>();
  return {narrow.data(), narrow.data() + narrow.size()};
}

}  // namespace fathom::compress
