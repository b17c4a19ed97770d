#include "policy/paired_saving.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "base/check.h"
#include "base/random.h"
#include "policy/calibrate.h"

namespace fathom::policy {
namespace {

constexpr std::size_t kThresholds = 200;
constexpr int kResamples = 1000;

// For every threshold, from full depth on, what each input costs and whether it answers otherwise than full depth.
class Walk {
 public:
  Walk(std::span<const std::int32_t> predictions, int layers, const Stopping& stopping) {
    const std::size_t depth = static_cast<std::size_t>(layers);
    n_ = predictions.size() / depth;
    for (const float lambda : candidate_thresholds(stopping.scores, kThresholds)) {
      const auto exits = exits_at(stopping.scores, layers, lambda, 1);
      for (std::size_t i = 0; i < n_; ++i) {
        const std::size_t at = i * depth + static_cast<std::size_t>(exits[i]) - 1;
        macs_.push_back(stopping.macs[at]);
        differs_.push_back(predictions[at] != predictions[(i + 1) * depth - 1] ? 1 : 0);
      }
    }
  }
  // MACs of inputs drawn so many times each, at the threshold that the budget allows.
  double macs(std::span<const double> times, double budget) const {
    const double total = std::accumulate(times.begin(), times.end(), 0.0);
    double best = 0;
    for (std::size_t at = 0; at < macs_.size(); at += n_) {
      double differ = 0, used = 0;
      for (std::size_t i = 0; i < n_; ++i) {
        differ += times[i] * differs_[at + i];
        used += times[i] * macs_[at + i];
      }
      if (!(differ <= budget * total)) break;
      best = used;
    }
    return best;
  }

 private:
  std::size_t n_ = 0;
  std::vector<double> macs_, differs_;  // [threshold][n]
};

}  // namespace

Interval paired_saving(std::span<const std::int32_t> predictions, int layers, std::span<const double> full_macs,
                       const Stopping& one, const Stopping& other, double budget, std::uint64_t seed) {
  const std::size_t n = full_macs.size(), depth = static_cast<std::size_t>(layers);
  FATHOM_CHECK(layers >= 2 && predictions.size() == n * depth, "predictions are [n][layers]");
  for (const Stopping* way : {&one, &other})
    FATHOM_CHECK(way->scores.size() == n * (depth - 1) && way->macs.size() == n * depth,
                 "scores and MACs of every row");
  if (n == 0) return {};
  const Walk first(predictions, layers, one), second(predictions, layers, other);
  std::vector<double> times(n, 1.0);
  const auto gain = [&] {
    const double full = std::inner_product(times.begin(), times.end(), full_macs.begin(), 0.0);
    return full > 0 ? (first.macs(times, budget) - second.macs(times, budget)) / full : 0.0;
  };
  Interval out;
  out.mean = gain();
  Random random(seed, "paired saving");
  std::vector<double> gains(kResamples);
  for (double& value : gains) {
    std::fill(times.begin(), times.end(), 0.0);
    for (std::size_t i = 0; i < n; ++i) times[random.below(n)] += 1;
    value = gain();
  }
  std::sort(gains.begin(), gains.end());
  const auto tail = static_cast<std::size_t>(0.025 * kResamples);
  out.low = gains[tail];
  out.high = gains[kResamples - 1 - tail];
  return out;
}

}  // namespace fathom::policy
