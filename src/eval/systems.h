// The systems compared, as pure functions of a trace: what each would answer, how deep it went and what it cost.
// Exit systems are exact simulations of the engine (same scores, same threshold rule); eval runs the engine beside
// them. Costs are mean MACs per input, the decision included. Thread rule: pure, except ExitCosts' cache.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "eval/trace.h"
#include "policy/calibrate.h"
#include "policy/exit_costs.h"
#include "policy/theory.h"

namespace fathom::eval {

using policy::ExitCosts;

// One system's answers on one split, input by input.
struct Outcome {
  std::vector<std::int32_t> labels, depths;
  std::vector<std::uint64_t> trajectories;  // bit l-1: layer l ran
  std::vector<double> macs, decision_macs;
  std::size_t size() const { return labels.size(); }
};

Outcome simulate_exits(const Traced& traced, ExitCosts& costs, policy::Score score, float lambda, int first_exit);
Outcome simulate_fixed(const policy::Trace& trace, ExitCosts& costs, int exit);
Outcome outcome_of(std::span<const engine::Prediction> predictions);

double mean(std::span<const double> values);
double mean_depth(const Outcome& outcome);
double accuracy(const Outcome& outcome, std::span<const std::int32_t> labels);  // fraction

// One point of a curve: where a setting lands on this split. Points of curves are never targets.
struct Point {
  double macs = 0, value = 0;
  float lambda = 0;  // exit systems
  int exit = 0;      // fixed depth: the exit; dynamic depth: layers run
};
std::vector<Point> curve_exits(const Traced& traced, ExitCosts& costs, policy::Score score, int first_exit,
                               std::size_t most);
std::vector<Point> curve_fixed(const policy::Trace& trace, ExitCosts& costs);
// Value at `macs` on the polyline through the points sorted by MACs; its ends beyond them.
double value_at(std::span<const Point> curve, double macs);
// Mean value over [low, high] MACs on that polyline: the area under the curve, scaled to a value.
double mean_value(std::span<const Point> curve, double low, double high);

// The smallest threshold whose mean MACs on this trace are at least `macs` (a rival never gets less than Fathom);
// 2 (full depth) if none is.
float lambda_at_macs(const Traced& traced, ExitCosts& costs, policy::Score score, int first_exit, double macs);
// The shallowest exit that costs at least `macs` on average; the last one if none does.
int exit_at_macs(const policy::Trace& trace, ExitCosts& costs, double macs);

// Random layer dropping: for each input a seeded random set of layers, kept so that the mean MACs over the inputs
// are `macs` (each input keeps floor or ceil of the needed number; at least one layer).
std::vector<std::uint64_t> random_masks(std::span<const std::int32_t> tokens, ExitCosts& costs, double macs,
                                        std::uint64_t seed);

// Difference of two systems' accuracy on the same inputs (a - b), with its 95 % paired-bootstrap interval.
policy::Interval difference(const Outcome& a, const Outcome& b, std::span<const std::int32_t> labels,
                            std::uint64_t seed);

}  // namespace fathom::eval
