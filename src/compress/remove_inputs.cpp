#include "compress/remove_inputs.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/check.h"
#include "compress/inputs.h"

namespace fathom::compress {
namespace {

constexpr double kDamping = 1e-3;

void subtract(double* to, const double* from, double times, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) to[i] -= times * from[i];
}

double dot(const double* x, const double* y, std::size_t count) {
  double lanes[8] = {};  // independent sums: one would wait for itself at every step
  std::size_t i = 0;
  for (; i + 8 <= count; i += 8)
    for (std::size_t lane = 0; lane < 8; ++lane) lanes[lane] += x[i + lane] * y[i + lane];
  for (; i < count; ++i) lanes[0] += x[i] * y[i];
  return ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
}

Matrix inverse_of(const Matrix& positive) {
  const Eigen::LLT<Matrix> root(positive);
  FATHOM_CHECK(root.info() == Eigen::Success, "damped moments are positive definite");
  const Matrix inverse = root.solve(Matrix::Identity(positive.rows(), positive.cols()));
  return (inverse + inverse.transpose()) / 2;  // what is taken from rows and from columns is the same to the bit
}

double* row_of(Matrix& matrix, std::size_t row) {
  return matrix.data() + row * static_cast<std::size_t>(matrix.cols());
}

// The map while groups leave it. Groups are reordered so that those that are left come first.
struct Surgery {
  std::size_t group, outputs;
  std::vector<std::size_t> order;  // groups by place
  Matrix inverse;                  // of the inputs' covariance, in the order of places
  std::vector<double> weights;     // [inputs, outputs]: a row an input, in the order of places

  std::size_t left() const { return order.size(); }
  double* of(std::size_t input) { return weights.data() + input * outputs; }

  // (inverse over the group at `place`)^-1
  Matrix block(std::size_t place) const {
    const Index begin = index(place * group), count = index(group);
    if (group == 1) return Matrix::Constant(1, 1, 1.0 / inverse(begin, begin));
    return inverse_of(inverse.block(begin, begin, count, count));
  }

  // What the outputs' mean square grows by when the group goes: sum over outputs of w^T block w.
  double cost(std::size_t place) {
    const Matrix b = block(place);
    double sum = 0;
    for (std::size_t i = 0; i < group; ++i)
      for (std::size_t j = 0; j <= i; ++j)
        sum += (i == j ? 1 : 2) * b(index(i), index(j)) * dot(of(place * group + i), of(place * group + j), outputs);
    return sum;
  }

  void swap_groups(std::size_t a, std::size_t b) {
    if (a == b) return;
    std::swap(order[a], order[b]);
    for (std::size_t i = 0; i < group; ++i) {
      std::swap_ranges(of(a * group + i), of(a * group + i) + outputs, of(b * group + i));
      inverse.row(index(a * group + i)).swap(inverse.row(index(b * group + i)));
    }
    for (std::size_t i = 0; i < group; ++i) inverse.col(index(a * group + i)).swap(inverse.col(index(b * group + i)));
  }

  void remove(std::size_t place) {
    swap_groups(place, left() - 1);
    const std::size_t gone = (left() - 1) * group;
    const Matrix b = block(left() - 1);
    std::vector<double> share(group);
    for (std::size_t k = 0; k < gone; ++k) {  // what input k takes over of each input that goes
      for (std::size_t i = 0; i < group; ++i) {
        share[i] = 0;
        for (std::size_t j = 0; j < group; ++j) share[i] += b(index(i), index(j)) * inverse(index(k), index(gone + j));
      }
      for (std::size_t i = 0; i < group; ++i) {
        subtract(of(k), of(gone + i), share[i], outputs);
        subtract(row_of(inverse, k), row_of(inverse, gone + i), share[i], gone);
      }
    }
    order.pop_back();
  }
};

double variance_of_outputs(const Matrix& covariance, const std::vector<double>& weights, std::size_t outputs) {
  std::vector<double> mixed(outputs);
  double sum = 0;
  const std::size_t inputs = static_cast<std::size_t>(covariance.rows());
  for (std::size_t i = 0; i < inputs; ++i) {
    std::fill(mixed.begin(), mixed.end(), 0.0);
    for (std::size_t j = 0; j < inputs; ++j)
      subtract(mixed.data(), weights.data() + j * outputs, -covariance(index(i), index(j)), outputs);
    for (std::size_t n = 0; n < outputs; ++n) sum += weights[i * outputs + n] * mixed[n];
  }
  return sum;
}

}  // namespace

Reduced remove_inputs(const float* weights, std::size_t outputs, std::size_t group, std::size_t keep,
                      const Moments& moments, std::size_t rows) {
  const std::size_t inputs = moments.width;
  FATHOM_CHECK(group > 0 && inputs % group == 0 && keep > 0 && keep <= inputs / group,
               "whole groups, at least one kept");
  Inputs seen = inputs_of(moments, rows);
  const Matrix moving = seen.covariance;
  damp(seen.covariance, kDamping);
  Surgery surgery{group, outputs, std::vector<std::size_t>(inputs / group), inverse_of(seen.covariance),
                  std::vector<double>(inputs * outputs)};
  std::iota(surgery.order.begin(), surgery.order.end(), std::size_t{0});
  for (std::size_t n = 0; n < outputs; ++n)
    for (std::size_t i = 0; i < inputs; ++i) surgery.of(i)[n] = static_cast<double>(weights[n * inputs + i]);
  const std::vector<double> before = surgery.weights;
  while (surgery.left() > keep) {
    std::size_t least = 0;
    double cost = std::numeric_limits<double>::infinity();
    for (std::size_t place = 0; place < surgery.left(); ++place)
      if (const double its = surgery.cost(place); its < cost) cost = its, least = place;
    surgery.remove(least);
  }

  Reduced out;
  out.kept = surgery.order;
  std::sort(out.kept.begin(), out.kept.end());
  out.weights.resize(outputs * keep * group);
  std::vector<double> change = before;  // what the map computes less than before, [inputs, outputs]
  for (std::size_t place = 0; place < keep; ++place) {
    const std::size_t which = surgery.order[place];
    const std::size_t to =
        static_cast<std::size_t>(std::lower_bound(out.kept.begin(), out.kept.end(), which) - out.kept.begin());
    for (std::size_t i = 0; i < group; ++i)
      for (std::size_t n = 0; n < outputs; ++n) {
        const float value = static_cast<float>(surgery.of(place * group + i)[n]);
        out.weights[n * keep * group + to * group + i] = value;
        change[(which * group + i) * outputs + n] -= static_cast<double>(value);
      }
  }
  out.bias_change.resize(outputs);
  std::vector<double> mean(outputs, 0.0);
  for (std::size_t i = 0; i < inputs; ++i)
    subtract(mean.data(), change.data() + i * outputs, -seen.mean[index(i)], outputs);
  for (std::size_t n = 0; n < outputs; ++n) out.bias_change[n] = static_cast<float>(mean[n]);
  const double all = variance_of_outputs(moving, before, outputs);
  out.lost = all > 0 ? std::max(0.0, variance_of_outputs(moving, change, outputs)) / all : 0.0;
  return out;
}

}  // namespace fathom::compress
