// Whether one way of stopping saves more than another at the same budget of disagreement with full depth: a paired
// bootstrap over inputs. Every resample chooses both thresholds anew, for at a budget of half a percent a threshold
// hangs on a handful of rows, and a comparison at thresholds that are held fixed would not see that it does. Pure
// functions, deterministic for a seed. Thread rule: none needed. Source: Efron, percentile intervals.
#pragma once

#include <cstdint>
#include <span>

#include "policy/theory.h"

namespace fathom::policy {

struct Stopping {
  std::span<const float> scores;  // [n][layers - 1]
  std::span<const double> macs;   // [n][layers]: of stopping at each exit, the decision included
};

// By what share of full depth's MACs `other` saves more than `one`, mean and 95 % interval over resamples. Each takes
// its most aggressive threshold with at most `budget` disagreement at it and at every more cautious one.
// predictions: [n][layers]; full_macs: [n]. Zeros for nothing.
Interval paired_saving(std::span<const std::int32_t> predictions, int layers, std::span<const double> full_macs,
                       const Stopping& one, const Stopping& other, double budget, std::uint64_t seed);

}  // namespace fathom::policy
