#include "policy/budget.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace fathom::policy {
namespace {

constexpr double kLeastMacs = 1000;
constexpr const char* kForms =
    "macs=50% (of full depth), macs=3e8 (an input), ms=8 (an input, alone) or mb=400 (peak memory)";

Error wrong(std::string_view text, const std::string& why) {
  return {Code::usage, "budget '" + std::string(text.substr(0, 60)) + "': " + why, kForms};
}

// Two decimals more than any figure made of them is shown with.
double rounded(double value) { return std::round(value * 1e6) / 1e6; }

}  // namespace

std::string shown(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

Result<Budget> parse_budget(std::string_view text) {
  const std::size_t sign = text.find('=');
  if (sign == std::string_view::npos) return wrong(text, "expected NAME=NUMBER");
  const std::string_view name = text.substr(0, sign);
  std::string number(text.substr(sign + 1));
  const bool share = number.ends_with('%');
  if (share) number.pop_back();
  char* end = nullptr;
  const double value = std::strtod(number.c_str(), &end);
  const bool plain =
      !number.empty() && number.find_first_not_of("0123456789.eE+-") == std::string::npos;  // no "inf", no hex
  if (!plain || end != number.c_str() + number.size() || !std::isfinite(value))
    return wrong(text, "'" + number + "' is no number");
  if (!(value > 0)) return wrong(text, "must be above 0");
  if (name != "macs" && name != "ms" && name != "mb")
    return wrong(text, "'" + std::string(name.substr(0, 20)) + "' is not known");
  if (share && name != "macs") return wrong(text, "a share is of full depth's MACs: only macs takes '%'");
  if (share && value > 100) return wrong(text, "more than 100 % of full depth");
  if (share) return Budget{Budget::Kind::share, value / 100};
  if (name == "macs" && value < kLeastMacs)
    return wrong(text, "that few MACs make no model; for a share of full depth write macs=" + number + "%");
  return Budget{name == "macs" ? Budget::Kind::macs : name == "ms" ? Budget::Kind::ms : Budget::Kind::mb, value};
}

Json budget_table_to_json(const BudgetTable& table) {
  Json points = Json::array();
  for (const BudgetPoint& point : table.points) {
    Json exits = Json::array();
    for (const double share : point.exits) exits.push_back(rounded(share));
    points.push_back({{"lambda", static_cast<double>(point.lambda)},
                      {"macs", point.macs},
                      {"depth", rounded(point.depth)},
                      {"agreement", rounded(point.agreement)},
                      {"exits", exits}});
  }
  return {{"score", table.score}, {"n", table.n}, {"points", points}};
}

Result<BudgetTable> budget_table_from_json(const Json& json, int layers, const std::string& score,
                                           const std::string& where) {
  constexpr std::size_t kMostPoints = 4096;
  constexpr const char* kAgain = "run `fathom certify`, or the same `fathom fit` again: both write it";
  const auto bad = [&](const std::string& what) { return Error{Code::corrupt_bundle, where + ": " + what, kAgain}; };
  BudgetTable table;
  FATHOM_TRY(table.score, json_string(json, "score", where));
  if (table.score != score) return bad("its score is '" + table.score + "', the bundle decides by '" + score + "'");
  FATHOM_TRY(const std::int64_t n, json_int(json, "n", 1, INT64_MAX, where));
  table.n = static_cast<std::size_t>(n);
  const auto points = json.find("points");
  if (points == json.end() || !points->is_array() || points->empty() || points->size() > kMostPoints)
    return bad("no list 'points'");
  for (const Json& entry : *points) {
    BudgetPoint point;
    FATHOM_TRY(const double lambda, json_number(entry, "lambda", 0, 2, where));
    point.lambda = static_cast<float>(lambda);
    FATHOM_TRY(point.macs, json_number(entry, "macs", 0, 1e18, where));
    FATHOM_TRY(point.depth, json_number(entry, "depth", 0, layers, where));
    FATHOM_TRY(point.agreement, json_number(entry, "agreement", 0, 1, where));
    const auto exits = entry.find("exits");
    if (exits == entry.end() || !exits->is_array() || exits->size() != static_cast<std::size_t>(layers))
      return bad("'exits' must list " + std::to_string(layers) + " shares");
    for (const Json& share : *exits) {
      const double value = share.is_number() ? share.get<double>() : -1;
      if (!(value >= 0 && value <= 1)) return bad("'exits' must hold shares");
      point.exits.push_back(value);
    }
    if (!table.points.empty() && point.macs >= table.points.back().macs) return bad("the points' MACs must fall");
    table.points.push_back(std::move(point));
  }
  if (table.points.front().lambda <= 1.0f) return bad("the first point must be full depth");
  return table;
}

Result<BudgetPoint> point_within(const BudgetTable& table, double macs, const std::string& asked) {
  for (const BudgetPoint& point : table.points)
    if (point.macs <= macs) return point;
  const BudgetPoint& cheapest = table.points.back();
  return Error{Code::usage,
               "budget '" + asked + "' is below the cheapest this bundle can do: " + shown(cheapest.macs) +
                   " MACs an input, " + shown(100 * cheapest.macs / table.full_macs()) + " % of full depth",
               "give at least that: macs=" + shown(std::ceil(10000 * cheapest.macs / table.full_macs()) / 100) + "%"};
}

double ms_at(std::span<const TimedMacs> times, double macs) {
  std::size_t i = 1;
  while (i + 1 < times.size() && times[i].macs < macs) ++i;
  const TimedMacs &a = times[i - 1], &b = times[i];
  return a.ms + (b.ms - a.ms) * (macs - a.macs) / (b.macs - a.macs);
}

}  // namespace fathom::policy
