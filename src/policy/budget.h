// A budget in a user's words ("macs=50%", "macs=3e8", "ms=8", "mb=40") and the table that turns one into a threshold:
// what a bundle's decision costs on the calibrate split, threshold by threshold. Pure functions.
// Units: MACs are means an input, the decision included; ms are milliseconds an input at batch 1; mb are 1e6 bytes.
// Errors: usage for what a user asks; corrupt_bundle for a table that cannot be right. Thread rule: plain values.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace fathom::policy {

struct Budget {
  enum class Kind { share, macs, ms, mb };
  Kind kind = Kind::share;
  double value = 0;  // share: 0..1 of full depth's MACs
};
// A plain number of MACs is absolute and at least 1000, so that "macs=50" is not taken for half; a share has its sign.
Result<Budget> parse_budget(std::string_view text);

// One threshold on the calibrate split.
struct BudgetPoint {
  float lambda = 2.0f;
  double macs = 0, depth = 0;
  double agreement = 1;       // share of inputs whose label is full depth's
  std::vector<double> exits;  // share of inputs that stop at exit 1..layers
};

struct BudgetTable {
  std::string score;
  std::size_t n = 0;                // calibrate inputs
  std::vector<BudgetPoint> points;  // MACs fall; the first is full depth, nothing decided
  double full_macs() const { return points.front().macs; }
};

Json budget_table_to_json(const BudgetTable& table);
// `layers` and `score` are the bundle's: a table of another score is not its own.
Result<BudgetTable> budget_table_from_json(const Json& json, int layers, const std::string& score,
                                           const std::string& where);

// The most cautious point whose mean MACs are at most `macs`. Error: usage naming the cheapest, if even that is dearer.
Result<BudgetPoint> point_within(const BudgetTable& table, double macs, const std::string& asked);

// Measured times of several thresholds: straight lines between them, the nearest line beyond.
struct TimedMacs {
  double macs = 0, ms = 0;
};
double ms_at(std::span<const TimedMacs> times, double macs);  // times: at least two, MACs rising

std::string shown(double value);  // four digits, as messages about budgets have them

}  // namespace fathom::policy
