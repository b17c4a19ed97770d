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

struct Square {
  std::size_t n;
  std::vector<double> at;
  explicit Square(std::size_t size) : n(size), at(size * size) {}
  double* row(std::size_t i) { return at.data() + i * n; }
  const double* row(std::size_t i) const { return at.data() + i * n; }
};

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

// In place: the inverse of a positive definite matrix, by its Cholesky factor. Every inner loop runs along a row.
void invert(Square& a) {
  const std::size_t n = a.n;
  // a = R^T R, R upper: row k of R once, then taken from all rows below.
  for (std::size_t k = 0; k < n; ++k) {
    double* rk = a.row(k);
    FATHOM_CHECK(rk[k] > 0, "damped moments are positive definite");
    const double inverse = 1.0 / std::sqrt(rk[k]);
    for (std::size_t j = k; j < n; ++j) rk[j] *= inverse;
    for (std::size_t i = k + 1; i < n; ++i) subtract(a.row(i) + i, rk + i, rk[i], n - i);
  }
  // S = R^-1, upper, from the last row up: S_k = (e_k - sum_{i > k} R_ki S_i) / R_kk.
  std::vector<double> row(n);
  for (std::size_t k = n; k-- > 0;) {
    double* rk = a.row(k);
    std::fill(row.begin(), row.end(), 0.0);
    row[k] = 1.0;
    for (std::size_t i = k + 1; i < n; ++i) subtract(row.data() + i, a.row(i) + i, rk[i], n - i);
    const double inverse = 1.0 / rk[k];
    for (std::size_t j = k; j < n; ++j) rk[j] = row[j] * inverse;
  }
  for (std::size_t i = 0; i < n; ++i)  // S^T into the lower half, so that what is next is along rows as well
    for (std::size_t j = 0; j < i; ++j) a.row(i)[j] = a.row(j)[i];
  // a^-1 = S S^T, upper half: row i = sum_{k >= i} S_ik (row k of S^T, from i to k).
  for (std::size_t i = 0; i < n; ++i) {
    std::fill(row.begin(), row.end(), 0.0);
    for (std::size_t k = i; k < n; ++k) subtract(row.data() + i, a.row(k) + i, -a.row(i)[k], k - i + 1);
    std::copy(row.begin() + static_cast<std::ptrdiff_t>(i), row.end(), a.row(i) + i);
  }
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < i; ++j) a.row(i)[j] = a.row(j)[i];
}

// The map while groups leave it. Groups are reordered so that those that are left come first.
struct Surgery {
  std::size_t group, outputs;
  std::vector<std::size_t> order;  // groups by place
  Square inverse;                  // of the inputs' covariance, in the order of places
  std::vector<double> weights;     // [inputs, outputs]: a row an input, in the order of places

  std::size_t left() const { return order.size(); }
  double* of(std::size_t input) { return weights.data() + input * outputs; }

  // (inverse over the group at `place`)^-1
  Square block(std::size_t place) const {
    Square b(group);
    for (std::size_t i = 0; i < group; ++i)
      for (std::size_t j = 0; j < group; ++j) b.row(i)[j] = inverse.row(place * group + i)[place * group + j];
    if (group == 1)
      b.at[0] = 1.0 / b.at[0];
    else
      invert(b);
    return b;
  }

  // What the outputs' mean square grows by when the group goes: sum over outputs of w^T block w.
  double cost(std::size_t place) {
    const Square b = block(place);
    double sum = 0;
    for (std::size_t i = 0; i < group; ++i)
      for (std::size_t j = 0; j <= i; ++j)
        sum += (i == j ? 1 : 2) * b.row(i)[j] * dot(of(place * group + i), of(place * group + j), outputs);
    return sum;
  }

  void swap_groups(std::size_t a, std::size_t b) {
    if (a == b) return;
    const std::size_t inputs = left() * group;
    std::swap(order[a], order[b]);
    for (std::size_t i = 0; i < group; ++i) {
      std::swap_ranges(of(a * group + i), of(a * group + i) + outputs, of(b * group + i));
      std::swap_ranges(inverse.row(a * group + i), inverse.row(a * group + i) + inputs, inverse.row(b * group + i));
    }
    for (std::size_t row = 0; row < inputs; ++row)
      for (std::size_t i = 0; i < group; ++i)
        std::swap(inverse.row(row)[a * group + i], inverse.row(row)[b * group + i]);
  }

  void remove(std::size_t place) {
    swap_groups(place, left() - 1);
    const std::size_t gone = (left() - 1) * group;
    const Square b = block(left() - 1);
    std::vector<double> share(group);
    for (std::size_t k = 0; k < gone; ++k) {  // what input k takes over of each input that goes
      for (std::size_t i = 0; i < group; ++i) {
        share[i] = 0;
        for (std::size_t j = 0; j < group; ++j) share[i] += b.row(i)[j] * inverse.row(k)[gone + j];
      }
      for (std::size_t i = 0; i < group; ++i) {
        subtract(of(k), of(gone + i), share[i], outputs);
        subtract(inverse.row(k), inverse.row(gone + i), share[i], gone);
      }
    }
    order.pop_back();
  }
};

Square square(const Matrix& matrix) {
  Square out(static_cast<std::size_t>(matrix.rows()));
  std::copy_n(matrix.data(), matrix.size(), out.at.data());
  return out;
}

double variance_of_outputs(const Square& covariance, const std::vector<double>& weights, std::size_t outputs) {
  std::vector<double> mixed(outputs);
  double sum = 0;
  for (std::size_t i = 0; i < covariance.n; ++i) {
    std::fill(mixed.begin(), mixed.end(), 0.0);
    for (std::size_t j = 0; j < covariance.n; ++j)
      subtract(mixed.data(), weights.data() + j * outputs, -covariance.row(i)[j], outputs);
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
  const Square moving = square(seen.covariance);
  damp(seen.covariance, kDamping);
  Surgery surgery{group, outputs, std::vector<std::size_t>(inputs / group), square(seen.covariance),
                  std::vector<double>(inputs * outputs)};
  std::iota(surgery.order.begin(), surgery.order.end(), std::size_t{0});
  for (std::size_t n = 0; n < outputs; ++n)
    for (std::size_t i = 0; i < inputs; ++i) surgery.of(i)[n] = static_cast<double>(weights[n * inputs + i]);
  const std::vector<double> before = surgery.weights;
  invert(surgery.inverse);
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
