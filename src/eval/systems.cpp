#include "eval/systems.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/random.h"

namespace fathom::eval {
namespace {

std::span<const float> scores_of(const policy::Trace& trace, policy::Score score) {
  return trace.scores[static_cast<std::size_t>(score)];
}

// Checkpoints of input i before and at `exit` whose fused score the trees could move across lambda (the engine's
// margin for rounding included); -1 where nothing is known.
int passes(const Traced& traced, std::size_t i, int exit, float lambda, int first_exit) {
  if (traced.fused_low.empty()) return -1;
  constexpr float kRounding = 1e-5f;
  const std::size_t width = static_cast<std::size_t>(traced.trace.layers - 1);
  int count = 0;
  for (int e = first_exit; e <= std::min(exit, traced.trace.layers - 1); ++e) {
    const std::size_t at = i * width + static_cast<std::size_t>(e) - 1;
    const bool no = traced.fused_high[at] < lambda - kRounding, yes = traced.fused_low[at] >= lambda + kRounding;
    count += no || yes ? 0 : 1;
  }
  return count;
}

// Mean MACs at a threshold, without building an Outcome.
double macs_at(const Traced& traced, ExitCosts& costs, policy::Score score, int first_exit, float lambda) {
  const policy::Trace& trace = traced.trace;
  if (!costs.decides(lambda)) return mean(simulate_fixed(trace, costs, trace.layers).macs);
  const auto exits = policy::exits_at(scores_of(trace, score), trace.layers, lambda, first_exit);
  double sum = 0;
  for (std::size_t i = 0; i < exits.size(); ++i)
    sum += costs.adaptive(score, trace.tokens[i], exits[i], passes(traced, i, exits[i], lambda, first_exit)).macs;
  return sum / static_cast<double>(std::max<std::size_t>(1, exits.size()));
}

std::uint64_t prefix(int layers) { return layers >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << layers) - 1; }

Point point_of(const Outcome& outcome, std::span<const std::int32_t> labels) {
  return {mean(outcome.macs), accuracy(outcome, labels), 0, 0};
}

void sort_by_macs(std::vector<Point>& curve) {
  std::stable_sort(curve.begin(), curve.end(), [](const Point& a, const Point& b) { return a.macs < b.macs; });
}

}  // namespace

Outcome simulate_exits(const Traced& traced, ExitCosts& costs, policy::Score score, float lambda, int first_exit) {
  const policy::Trace& trace = traced.trace;
  if (!costs.decides(lambda)) return simulate_fixed(trace, costs, trace.layers);
  Outcome out;
  out.depths = policy::exits_at(scores_of(trace, score), trace.layers, lambda, first_exit);
  for (std::size_t i = 0; i < out.depths.size(); ++i) {
    const std::size_t exit = static_cast<std::size_t>(out.depths[i]);
    out.labels.push_back(trace.predictions[i * static_cast<std::size_t>(trace.layers) + exit - 1]);
    out.trajectories.push_back(prefix(out.depths[i]));
    const policy::Cost cost =
        costs.adaptive(score, trace.tokens[i], out.depths[i], passes(traced, i, out.depths[i], lambda, first_exit));
    out.macs.push_back(cost.macs);
    out.decision_macs.push_back(cost.decision);
  }
  return out;
}

Outcome simulate_fixed(const policy::Trace& trace, ExitCosts& costs, int exit) {
  Outcome out;
  for (std::size_t i = 0; i < trace.size(); ++i) {
    out.labels.push_back(
        trace.predictions[i * static_cast<std::size_t>(trace.layers) + static_cast<std::size_t>(exit) - 1]);
    out.depths.push_back(exit);
    out.trajectories.push_back(prefix(exit));
    out.macs.push_back(costs.fixed(trace.tokens[i], exit).macs);
    out.decision_macs.push_back(0);
  }
  return out;
}

Outcome outcome_of(std::span<const engine::Prediction> predictions) {
  Outcome out;
  for (const engine::Prediction& p : predictions) {
    out.labels.push_back(p.label);
    out.depths.push_back(p.depth);
    out.trajectories.push_back(p.trajectory);
    out.macs.push_back(p.macs);
    out.decision_macs.push_back(p.decision_macs);
  }
  return out;
}

double mean(std::span<const double> values) {
  if (values.empty()) return 0;
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double mean_depth(const Outcome& outcome) {
  if (outcome.depths.empty()) return 0;
  return std::accumulate(outcome.depths.begin(), outcome.depths.end(), 0.0) /
         static_cast<double>(outcome.depths.size());
}

double accuracy(const Outcome& outcome, std::span<const std::int32_t> labels) {
  if (labels.empty()) return 0;
  std::size_t right = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) right += outcome.labels[i] == labels[i] ? 1 : 0;
  return static_cast<double>(right) / static_cast<double>(labels.size());
}

std::vector<Point> curve_exits(const Traced& traced, ExitCosts& costs, policy::Score score, int first_exit,
                               std::size_t most) {
  std::vector<Point> curve;
  for (const float lambda : policy::candidate_thresholds(scores_of(traced.trace, score), most)) {
    Point point = point_of(simulate_exits(traced, costs, score, lambda, first_exit), traced.trace.labels);
    point.lambda = lambda;
    curve.push_back(point);
  }
  sort_by_macs(curve);
  const auto same = [](const Point& a, const Point& b) { return a.macs == b.macs && a.value == b.value; };
  curve.erase(std::unique(curve.begin(), curve.end(), same), curve.end());
  return curve;
}

std::vector<Point> curve_fixed(const policy::Trace& trace, ExitCosts& costs) {
  std::vector<Point> curve;
  for (int exit = 1; exit <= trace.layers; ++exit) {
    Point point = point_of(simulate_fixed(trace, costs, exit), trace.labels);
    point.exit = exit;
    curve.push_back(point);
  }
  return curve;
}

double value_at(std::span<const Point> curve, double macs) {
  if (curve.empty()) return 0;
  if (macs <= curve.front().macs) return curve.front().value;
  for (std::size_t i = 1; i < curve.size(); ++i) {
    const Point &a = curve[i - 1], &b = curve[i];
    if (macs > b.macs) continue;
    return b.macs > a.macs ? a.value + (b.value - a.value) * (macs - a.macs) / (b.macs - a.macs) : b.value;
  }
  return curve.back().value;
}

double mean_value(std::span<const Point> curve, double low, double high) {
  if (!(high > low)) return value_at(curve, low);
  std::vector<double> knots = {low, high};
  for (const Point& p : curve)
    if (p.macs > low && p.macs < high) knots.push_back(p.macs);
  std::sort(knots.begin(), knots.end());
  double area = 0;
  for (std::size_t i = 1; i < knots.size(); ++i)
    area += (knots[i] - knots[i - 1]) * (value_at(curve, knots[i]) + value_at(curve, knots[i - 1])) / 2;
  return area / (high - low);
}

float lambda_at_macs(const Traced& traced, ExitCosts& costs, policy::Score score, int first_exit, double macs) {
  const auto all = scores_of(traced.trace, score);
  std::vector<float> candidates(all.begin(), all.end());
  std::sort(candidates.begin(), candidates.end());
  candidates.erase(std::unique(candidates.begin(), candidates.end()), candidates.end());
  candidates.push_back(2.0f);
  // Mean MACs rise with the threshold, so the first candidate that is dear enough is found by halving.
  const auto found = std::partition_point(candidates.begin(), candidates.end(), [&](float lambda) {
    return macs_at(traced, costs, score, first_exit, lambda) < macs;
  });
  return found == candidates.end() ? 2.0f : *found;
}

int exit_at_macs(const policy::Trace& trace, ExitCosts& costs, double macs) {
  for (int exit = 1; exit < trace.layers; ++exit) {
    double sum = 0;
    for (const std::int32_t tokens : trace.tokens) sum += costs.fixed(tokens, exit).macs;
    if (sum / static_cast<double>(trace.size()) >= macs) return exit;
  }
  return trace.layers;
}

std::vector<std::uint64_t> random_masks(std::span<const std::int32_t> tokens, ExitCosts& costs, double macs,
                                        std::uint64_t seed) {
  const int layers = costs.layers();
  double one = 0, none = 0;  // mean MACs of one layer, and of a model without layers
  for (const std::int32_t t : tokens) {
    const double with_one = costs.layers_run(t, 1).macs;
    none += costs.layers_run(t, 0).macs;
    one += with_one - costs.layers_run(t, 0).macs;
  }
  const double kept = std::clamp((macs * static_cast<double>(tokens.size()) - none) / one, 1.0, double(layers));
  const int low = static_cast<int>(std::floor(kept));
  const double more = kept - low;  // share of inputs that keep one layer more
  std::vector<std::uint64_t> masks;
  double owed = 0;  // spread evenly, so the mean holds whatever the number of inputs
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    owed += more;
    int count = low;
    if (owed >= 1) {
      owed -= 1;
      ++count;
    }
    std::vector<int> order(static_cast<std::size_t>(layers));
    std::iota(order.begin(), order.end(), 0);
    Random random(seed, "dynamic_depth", i);
    random.shuffle(order);
    std::uint64_t mask = 0;
    for (int k = 0; k < count; ++k) mask |= std::uint64_t{1} << order[static_cast<std::size_t>(k)];
    masks.push_back(mask);
  }
  return masks;
}

policy::Interval difference(const Outcome& a, const Outcome& b, std::span<const std::int32_t> labels,
                            std::uint64_t seed) {
  std::vector<double> differences;
  for (std::size_t i = 0; i < labels.size(); ++i)
    differences.push_back(double(a.labels[i] == labels[i]) - double(b.labels[i] == labels[i]));
  return policy::paired_bootstrap(differences, seed);
}

}  // namespace fathom::eval
