#include "policy/theory.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/check.h"
#include "base/random.h"

namespace fathom::policy {
namespace {

constexpr int kResamples = 2000;

double mean_of(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

}  // namespace

double bound_eq5(double alpha, double epsilon, double cost_at_lopt, double cost_full) {
  const double right = alpha * (1.0 - epsilon);
  return right * cost_at_lopt + (1.0 - right) * cost_full;
}

std::vector<double> mean_ranks(std::span<const double> values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t x, std::size_t y) { return values[x] < values[y]; });
  std::vector<double> out(values.size());
  for (std::size_t first = 0, end = 0; first < order.size(); first = end) {
    while (end < order.size() && values[order[end]] == values[order[first]]) ++end;
    const double shared = 0.5 * static_cast<double>(first + 1 + end);
    for (std::size_t k = first; k < end; ++k) out[order[k]] = shared;
  }
  return out;
}

double spearman(std::span<const double> a, std::span<const double> b) {
  FATHOM_CHECK(a.size() == b.size(), "pairs need equal lengths");
  const double undefined = std::numeric_limits<double>::quiet_NaN();
  const auto nan = [](double value) { return std::isnan(value); };
  if (a.size() < 2 || std::any_of(a.begin(), a.end(), nan) || std::any_of(b.begin(), b.end(), nan)) return undefined;
  const std::vector<double> ra = mean_ranks(a), rb = mean_ranks(b);
  const double middle = 0.5 * static_cast<double>(a.size() + 1);
  double ab = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < ra.size(); ++i) {
    const double x = ra[i] - middle, y = rb[i] - middle;
    ab += x * y, aa += x * x, bb += y * y;
  }
  return aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : undefined;
}

double mean_absolute_error(std::span<const double> a, std::span<const double> b) {
  FATHOM_CHECK(a.size() == b.size(), "pairs need equal lengths");
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += std::fabs(a[i] - b[i]);
  return a.empty() ? 0.0 : sum / static_cast<double>(a.size());
}

Interval paired_bootstrap(std::span<const double> differences, std::uint64_t seed) {
  if (differences.empty()) return {};
  const std::size_t n = differences.size();
  Random random(seed, "bootstrap");
  std::vector<double> means(kResamples);
  for (double& mean : means) {
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i) sum += differences[random.below(n)];
    mean = sum / static_cast<double>(n);
  }
  std::sort(means.begin(), means.end());
  const auto tail = static_cast<std::size_t>(0.025 * kResamples);
  return {mean_of(differences), means[tail], means[kResamples - 1 - tail]};
}

double binomial_tail(std::size_t n, std::size_t k, double p) {
  FATHOM_CHECK(p >= 0.0 && p <= 1.0, "no such binomial");
  if (k >= n || p == 0.0) return 1.0;
  if (p == 1.0) return 0.0;
  // log P(X = i), built up term by term; the sum is kept relative to its largest term so far.
  const double count = static_cast<double>(n), odds = std::log(p) - std::log1p(-p);
  double term = count * std::log1p(-p), largest = term, sum = 1.0;
  for (std::size_t i = 0; i < k; ++i) {
    term += std::log((count - static_cast<double>(i)) / static_cast<double>(i + 1)) + odds;
    if (term > largest) {
      sum = sum * std::exp(largest - term) + 1.0;
      largest = term;
    } else {
      sum += std::exp(term - largest);
    }
  }
  return std::min(1.0, std::exp(largest + std::log(sum)));
}

}  // namespace fathom::policy
