#include "compress/kronecker.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "compress/matrix.h"

namespace fathom::compress {

KroneckerShape even_shape(std::size_t out, std::size_t in) {
  KroneckerShape best{1, 1};
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t rows = 1; rows <= out; ++rows)
    for (std::size_t columns = 1; out % rows == 0 && columns <= in; ++columns) {
      if (in % columns != 0) continue;
      const double a = static_cast<double>(rows * columns),
                   b = static_cast<double>(out / rows) * static_cast<double>(in / columns);
      const double squareness = std::fabs(std::log(static_cast<double>(rows) / static_cast<double>(columns)) -
                                          0.5 * std::log(static_cast<double>(out) / static_cast<double>(in)));
      const double uneven = std::fabs(std::log(a / b)) + 1e-3 * squareness;
      if (uneven < least) least = uneven, best = {rows, columns};
    }
  return best;
}

KroneckerSum nearest_kronecker(const std::vector<float>& weights, std::size_t out, std::size_t in,
                               const KroneckerShape& shape, std::size_t terms) {
  FATHOM_CHECK(shape.rows_a > 0 && shape.columns_a > 0 && out % shape.rows_a == 0 && in % shape.columns_a == 0 &&
                   weights.size() == out * in,
               "blocks fill the matrix");
  const std::size_t rows_b = out / shape.rows_a, columns_b = in / shape.columns_a,
                    numbers_a = shape.rows_a * shape.columns_a, numbers_b = rows_b * columns_b;
  Matrix reordered(index(numbers_a), index(numbers_b));  // row: an entry of A; column: one of B
  for (std::size_t i = 0; i < out; ++i)
    for (std::size_t j = 0; j < in; ++j)
      reordered(index((i / rows_b) * shape.columns_a + j / columns_b),
                index((i % rows_b) * columns_b + j % columns_b)) = static_cast<double>(weights[i * in + j]);
  const bool tall = numbers_a > numbers_b;
  const Matrix gram = tall ? Matrix(reordered.transpose() * reordered) : Matrix(reordered * reordered.transpose());
  const Eigen::SelfAdjointEigenSolver<Matrix> solved(gram);
  FATHOM_CHECK(solved.info() == Eigen::Success, "a symmetric matrix has eigenvectors");
  KroneckerSum sum{shape, {}, {}, 0};
  const Index all = gram.rows(), most = std::min(all, index(terms));
  for (Index t = 0; t < most; ++t) {
    const Vector unit = solved.eigenvectors().col(all - 1 - t);
    const Eigen::VectorXf fitted =
                              (tall ? Vector(reordered * unit) : Vector(reordered.transpose() * unit)).cast<float>(),
                          kept = unit.cast<float>();
    const std::vector<float> one(kept.data(), kept.data() + kept.size()),
        other(fitted.data(), fitted.data() + fitted.size());
    sum.a.push_back(tall ? other : one);
    sum.b.push_back(tall ? one : other);
    sum.kept += std::max(0.0, solved.eigenvalues()(all - 1 - t));
  }
  sum.kept = std::min(1.0, sum.kept / std::max(reordered.squaredNorm(), 1e-300));
  return sum;
}

double kronecker_macs(std::size_t out, std::size_t in, const KroneckerShape& shape, std::size_t terms) {
  const double rows_b = static_cast<double>(out / shape.rows_a), columns_b = static_cast<double>(in / shape.columns_a);
  const double rows_a = static_cast<double>(shape.rows_a), columns_a = static_cast<double>(shape.columns_a);
  const double b_first = columns_a * columns_b * rows_b + rows_a * columns_a * rows_b,
               a_first = columns_a * columns_b * rows_a + rows_b * columns_b * rows_a;
  return static_cast<double>(terms) * std::min(b_first, a_first);
}

double kronecker_numbers(std::size_t out, std::size_t in, const KroneckerShape& shape, std::size_t terms) {
  return static_cast<double>(terms) *
         (static_cast<double>(shape.rows_a * shape.columns_a) +
          static_cast<double>(out / shape.rows_a) * static_cast<double>(in / shape.columns_a));
}

}  // namespace fathom::compress
