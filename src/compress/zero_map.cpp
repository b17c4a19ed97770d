#include "compress/zero_map.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace fathom::compress {
namespace {

constexpr double kDamping = 1e-2;
constexpr Index kBlock = 128;

// U, upper, U^T U the inverse of the damped covariance: row j says what the inputs behind j take over of it.
Matrix cholesky_of_inverse(Matrix covariance) {
  damp(covariance, kDamping);
  const Index n = covariance.rows();
  const Eigen::LLT<Matrix> root(covariance);
  FATHOM_CHECK(root.info() == Eigen::Success, "a damped covariance is positive definite");
  const Eigen::LLT<Matrix> of_inverse(Matrix(root.solve(Matrix::Identity(n, n))));
  FATHOM_CHECK(of_inverse.info() == Eigen::Success, "and so is its inverse");
  return of_inverse.matrixU();
}

// 1 where a weight of these columns goes. cost: what its loss adds to the mean square of the outputs.
using Mask = Eigen::Matrix<char, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Mask cheapest(const Matrix& cost, Index count) {
  Mask gone = Mask::Zero(cost.rows(), cost.cols());
  std::vector<Index> order(static_cast<std::size_t>(cost.size()));
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = index(i);
  const auto less = [&](Index a, Index b) {
    return cost.data()[a] != cost.data()[b] ? cost.data()[a] < cost.data()[b] : a < b;
  };
  std::nth_element(order.begin(), order.begin() + count, order.end(), less);
  for (Index i = 0; i < count; ++i) gone.data()[order[static_cast<std::size_t>(i)]] = 1;
  return gone;
}

Mask half_of_each_row(const Matrix& cost) {
  Mask gone = Mask::Zero(cost.rows(), cost.cols());
  for (Index r = 0; r < cost.rows(); ++r) gone.row(r) = cheapest(cost.row(r), cost.cols() / 2).row(0);
  return gone;
}

Matrix cost_of(const Matrix& weights, const Matrix& u, Index begin, Index count) {
  Matrix cost = weights.middleCols(begin, count);
  for (Index j = 0; j < count; ++j) cost.col(j) = (cost.col(j) / u(begin + j, begin + j)).array().square();
  return cost;
}

Matrix without(Matrix w, const Matrix& u, const ZeroChoice& choice) {
  for (Index begin = 0; begin < w.cols(); begin += kBlock) {
    const Index count = std::min(kBlock, w.cols() - begin), behind = w.cols() - begin - count;
    Mask gone = choice.two_of_four ? Mask(w.rows(), count)
                                   : cheapest(cost_of(w, u, begin, count),
                                              std::llround(choice.share * static_cast<double>(w.rows() * count)));
    Matrix moved(w.rows(), count);  // of each column, in units of its own successors' row
    for (Index j = 0; j < count; ++j) {
      const Index at = begin + j;
      if (choice.two_of_four && j % 4 == 0) {
        const Index four = std::min<Index>(4, count - j);
        gone.middleCols(j, four) = half_of_each_row(cost_of(w, u, at, four));
      }
      for (Index r = 0; r < w.rows(); ++r) moved(r, j) = gone(r, j) ? w(r, at) / u(at, at) : 0.0;
      w.middleCols(at, count - j) -= moved.col(j) * u.row(at).segment(at, count - j);
      for (Index r = 0; r < w.rows(); ++r)
        if (gone(r, j)) w(r, at) = 0.0;  // and not what rounding left
    }
    if (behind > 0) w.rightCols(behind) -= moved * u.block(begin, begin + count, count, behind);
  }
  return w;
}

double variance_of(const Matrix& weights, const Matrix& covariance) {
  return (weights * covariance).cwiseProduct(weights).sum();
}

}  // namespace

MapZeroes::MapZeroes(const Moments& moments, std::size_t rows)
    : inputs_(inputs_of(moments, rows)), u_(cholesky_of_inverse(inputs_.covariance)) {}

Zeroed MapZeroes::of(const float* weights, std::size_t outputs, const ZeroChoice& choice) const {
  const Index in = inputs_.mean.size();
  const Matrix before = widened(weights, index(outputs), in);
  Zeroed out{floats(without(before, u_, choice)), {}, 0, variance_of(before, inputs_.covariance)};
  const Matrix change = before - widened(out.weights.data(), index(outputs), in);
  out.bias_change = floats(Matrix(change * inputs_.mean));
  out.lost = std::max(0.0, variance_of(change, inputs_.covariance));
  return out;
}

}  // namespace fathom::compress
