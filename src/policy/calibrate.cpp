#include "policy/calibrate.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace fathom::policy {
namespace {

constexpr float kFullDepth = 2.0f;
constexpr std::size_t kCandidates = 4000;

std::size_t exit_of(const float* scores, int layers, float lambda, int first_exit) {
  for (int exit = first_exit; exit < layers; ++exit)
    if (scores[exit - 1] >= lambda) return static_cast<std::size_t>(exit);
  return static_cast<std::size_t>(layers);
}

}  // namespace

std::vector<std::int32_t> stable_depth(std::span<const std::int32_t> predictions, int layers) {
  FATHOM_CHECK(layers >= 1 && predictions.size() % static_cast<std::size_t>(layers) == 0,
               "predictions are [n][layers]");
  std::vector<std::int32_t> depth(predictions.size() / static_cast<std::size_t>(layers));
  for (std::size_t i = 0; i < depth.size(); ++i) {
    const std::int32_t* row = predictions.data() + i * static_cast<std::size_t>(layers);
    int stable = layers;
    while (stable > 1 && row[stable - 2] == row[layers - 1]) --stable;
    depth[i] = stable;
  }
  return depth;
}

std::vector<std::int32_t> exits_at(std::span<const float> scores, int layers, float lambda, int first_exit) {
  FATHOM_CHECK(layers >= 2 && first_exit >= 1, "exits need at least two layers");
  const auto width = static_cast<std::size_t>(layers - 1);
  FATHOM_CHECK(scores.size() % width == 0, "scores are [n][layers - 1]");
  std::vector<std::int32_t> exits(scores.size() / width);
  for (std::size_t i = 0; i < exits.size(); ++i)
    exits[i] = static_cast<std::int32_t>(exit_of(scores.data() + i * width, layers, lambda, first_exit));
  return exits;
}

std::vector<float> candidate_thresholds(std::span<const float> scores, std::size_t most) {
  std::vector<float> candidates;
  if (most == 0) return candidates;
  candidates.push_back(kFullDepth);
  std::vector<float> sorted;
  sorted.reserve(scores.size());
  for (const float score : scores)
    if (score < kFullDepth) sorted.push_back(score);  // leaves NaN out too: it never stops
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  std::vector<float> distinct = sorted;
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  if (distinct.size() < most) {
    candidates.insert(candidates.end(), distinct.begin(), distinct.end());
    return candidates;
  }
  const std::size_t steps = most - 1;  // the k-th lets a share k / steps of all scores pass
  for (std::size_t k = 1; k <= steps; ++k) {
    const float score = sorted[(sorted.size() * k + steps - 1) / steps - 1];
    if (score != candidates.back()) candidates.push_back(score);
  }
  return candidates;
}

float choose_by_consistency(const Trace& trace, std::span<const float> scores, int first_exit, double budget) {
  const int layers = trace.layers;
  const std::size_t n = trace.size();
  if (n == 0 || layers < 2) return kFullDepth;
  const auto width = static_cast<std::size_t>(layers - 1);
  FATHOM_CHECK(scores.size() == n * width && trace.predictions.size() == n * (width + 1),
               "trace and scores differ in size");
  std::vector<float> used;  // scores of checkpoints that are evaluated
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t e = static_cast<std::size_t>(first_exit); e <= width; ++e)
      used.push_back(scores[i * width + e - 1]);

  float chosen = kFullDepth;
  for (const float lambda : candidate_thresholds(used, kCandidates)) {
    std::size_t disagreements = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const std::int32_t* row = trace.predictions.data() + i * (width + 1);
      const std::size_t exit = exit_of(scores.data() + i * width, layers, lambda, first_exit);
      disagreements += row[exit - 1] != row[width];
    }
    const double share = static_cast<double>(disagreements) / static_cast<double>(n);
    if (!(share <= budget)) break;  // the walk ends at the first failure, and a budget that is no number allows nothing
    chosen = lambda;
  }
  return chosen;
}

}  // namespace fathom::policy
