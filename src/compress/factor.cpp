#include "compress/factor.h"

#include <algorithm>

#include "base/check.h"
#include "compress/inputs.h"

namespace fathom::compress {
namespace {

constexpr double kDamping = 1e-4;

Inputs inputs_of(const MapToFold& map, Index in) {
  if (map.moments == nullptr) return {Matrix::Identity(in, in), Vector::Zero(in)};
  FATHOM_CHECK(index(map.moments->width) == in, "moments of what the map reads");
  Inputs out = compress::inputs_of(*map.moments, map.rows);
  damp(out.covariance, kDamping);
  return out;
}

struct Directions {
  Vector strengths;  // falling: eigenvalues, variance of the outputs along each
  Matrix rows;       // [count, in]: R
};

// Eigen's solver puts the smallest first.
Directions leading(const Eigen::SelfAdjointEigenSolver<Matrix>& solved, Matrix vectors_as_rows, Index most) {
  FATHOM_CHECK(solved.info() == Eigen::Success, "a symmetric matrix has eigenvectors");
  const Index all = solved.eigenvalues().size();
  Directions out{solved.eigenvalues().reverse().cwiseMax(0.0), Matrix(std::min(most, all), vectors_as_rows.cols())};
  for (Index i = 0; i < out.rows.rows(); ++i) out.rows.row(i) = vectors_as_rows.row(all - 1 - i);
  return out;
}

// Of the maps one below the other, each scaled to variance 1, on inputs of covariance C = S S^T: through whichever Gram
// matrix is smaller.
Directions directions_of(const Matrix& stacked, const Matrix& covariance, Index most) {
  if (stacked.rows() < stacked.cols()) {  // W C W^T = U D U^T; R = D^-1/2 U^T W
    const Matrix gram = stacked * covariance * stacked.transpose();
    const Eigen::SelfAdjointEigenSolver<Matrix> solved(gram);
    const double floor = 1e-12 * std::max(solved.eigenvalues().maxCoeff(), 1e-300);
    const Vector inverse = solved.eigenvalues().cwiseMax(floor).cwiseSqrt().cwiseInverse();
    return leading(solved, inverse.asDiagonal() * (solved.eigenvectors().transpose() * stacked), most);
  }
  const Eigen::LLT<Matrix> root(covariance);
  FATHOM_CHECK(root.info() == Eigen::Success, "a damped covariance is positive definite");
  const Matrix s = root.matrixL(), reached = stacked * s;
  const Eigen::SelfAdjointEigenSolver<Matrix> solved(Matrix(reached.transpose() * reached));
  Matrix rows = solved.eigenvectors();  // R^T = S^-T V
  root.matrixU().solveInPlace(rows);
  return leading(solved, rows.transpose(), most);
}

template <class From>
std::vector<double> plain(const From& matrix) {
  const Matrix copy = matrix;
  return {copy.data(), copy.data() + copy.size()};
}

Eigen::Map<const Matrix> view(const std::vector<double>& values, std::size_t rows) {
  return {values.data(), index(rows), index(values.size() / rows)};
}

}  // namespace

Factoring::Factoring(const std::vector<MapToFold>& maps, std::size_t in, std::size_t most_rank)
    : in_(in), most_(std::min(most_rank, in)) {
  FATHOM_CHECK(!maps.empty() && in > 0, "there are maps");
  const Index width = index(in);
  Matrix shared = Matrix::Zero(width, width), stacked(0, width);
  std::vector<Inputs> inputs;
  std::vector<Matrix> weights;
  for (const MapToFold& map : maps) {
    inputs.push_back(inputs_of(map, width));
    weights.push_back(widened(map.weights.data(), index(map.weights.size()) / width, width));
    maps_.push_back({static_cast<std::size_t>(weights.back().rows()),
                     {},
                     {},
                     {},
                     (weights.back() * inputs.back().covariance).cwiseProduct(weights.back()).sum()});
    shared += inputs.back().covariance / static_cast<double>(maps.size());
    const Index before = stacked.rows();
    stacked.conservativeResize(before + weights.back().rows(), Eigen::NoChange);
    stacked.bottomRows(weights.back().rows()) = weights.back() / std::sqrt(std::max(maps_.back().variance, 1e-300));
  }
  const Directions found = directions_of(stacked, shared, index(most_));
  most_ = static_cast<std::size_t>(found.rows.rows());
  right_ = plain(found.rows);
  const double total = std::max(found.strengths.sum(), 1e-300);
  kept_.assign(1, 0.0);
  for (const double strength : found.strengths) kept_.push_back(kept_.back() + strength / total);
  for (std::size_t m = 0; m < maps.size(); ++m) {
    const Matrix seen = inputs[m].covariance * found.rows.transpose();  // C R^T
    maps_[m].cross = plain(weights[m] * seen);
    maps_[m].gram = plain(found.rows * seen);
    maps_[m].from_mean = plain(weights[m] * inputs[m].mean);
    const std::vector<double> mean = plain(found.rows * inputs[m].mean);
    right_mean_.insert(right_mean_.end(), mean.begin(), mean.end());
  }
}

double Factoring::kept(std::size_t rank) const { return std::min(1.0, kept_[std::min(rank, kept_.size() - 1)]); }

Factors Factoring::take(std::size_t rank) const {
  FATHOM_CHECK(rank > 0 && rank <= most_, "a rank that was asked for");
  const Index r = index(rank);
  Factors out{floats(view(right_, most_).topRows(r)), {}};
  for (std::size_t m = 0; m < maps_.size(); ++m) {
    const Map& map = maps_[m];
    const Matrix cross = view(map.cross, map.out).leftCols(r), gram = view(map.gram, most_).topLeftCorner(r, r);
    const Matrix left = gram.ldlt().solve(cross.transpose()).transpose();  // W C R^T (R C R^T)^-1
    const Eigen::Map<const Vector> mean(map.from_mean.data(), index(map.out)),
        right_mean(right_mean_.data() + m * most_, r);
    const double explained = left.cwiseProduct(cross).sum();
    out.left.push_back({floats(left), floats(Matrix(mean - left * right_mean)),
                        std::clamp(1.0 - explained / std::max(map.variance, 1e-300), 0.0, 1.0)});
  }
  return out;
}

}  // namespace fathom::compress
