// Small statistics that reports print: Theorem 1's valid bound and what stands beside it.
// Pure functions, double arithmetic; thread rule: none needed. Source: paper theorem 1 eq. (5); the rest is textbook.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace fathom::policy {

// Theorem 1, eq. (5): E[F] <= a (1 - e) F(l_opt) + (1 - a (1 - e)) F(L). alpha: share of inputs whose complexity is
// predicted right; epsilon: share the policy then gets wrong; costs in MACs, means over inputs (E[F(l_opt)], E[F(L)]).
// The closed form (8) of the paper does not follow from it and is not offered.
double bound_eq5(double alpha, double epsilon, double cost_at_lopt, double cost_full);

// Ranks from 1; equal values share the mean of the ranks they cover.
std::vector<double> mean_ranks(std::span<const double> values);

// Spearman's rank correlation, ties share their mean rank. NaN when it is undefined: fewer than two pairs, or one side
// constant. CHECKs that both have the same length.
double spearman(std::span<const double> a, std::span<const double> b);

// Mean of |a - b|; 0 for nothing.
double mean_absolute_error(std::span<const double> a, std::span<const double> b);

struct Interval {
  double mean = 0, low = 0, high = 0;
};

// Paired bootstrap: mean of per-input differences and its 95 % percentile interval over 2000 resamples of inputs.
// The same seed gives the same interval. Zeros for nothing.
Interval paired_bootstrap(std::span<const double> differences, std::uint64_t seed);

// P(Bin(n, p) <= k), summed in log space so that tiny tails keep their digits. CHECKs that p is in [0, 1].
double binomial_tail(std::size_t n, std::size_t k, double p);

}  // namespace fathom::policy
