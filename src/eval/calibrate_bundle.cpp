#include "eval/calibrate_bundle.h"

#include <algorithm>
#include <numeric>

#include "bundle/bundle.h"
#include "data/split_use.h"
#include "model/finite.h"
#include "model/model.h"
#include "policy/budget.h"
#include "policy/exit_costs.h"

namespace fathom::eval {
namespace {

Json point_json(const policy::Trace& trace, policy::Score score, float lambda, int first_exit, double budget) {
  const auto exits = policy::exits_at(trace.scores[static_cast<std::size_t>(score)], trace.layers, lambda, first_exit);
  const std::size_t layers = static_cast<std::size_t>(trace.layers);
  std::size_t differ = 0;
  double depth = 0;
  for (std::size_t i = 0; i < exits.size(); ++i) {
    const std::size_t exit = static_cast<std::size_t>(exits[i]);
    differ += trace.predictions[i * layers + exit - 1] != trace.predictions[(i + 1) * layers - 1] ? 1 : 0;
    depth += exits[i];
  }
  const double n = static_cast<double>(exits.size());
  return {{"score", policy::score_name(score)},
          {"lambda", static_cast<double>(lambda)},
          {"budget", budget},
          {"calibrate_disagreement", n > 0 ? static_cast<double>(differ) / n : 0.0},
          {"calibrate_n", exits.size()},
          {"calibrate_mean_exit", n > 0 ? depth / n : 0.0}};
}

// Mean costs at one threshold.
policy::BudgetPoint budget_point(const Traced& traced, policy::ExitCosts& costs, const policy::Policy& policy,
                                 float lambda) {
  const policy::Trace& trace = traced.trace;
  const std::size_t layers = static_cast<std::size_t>(trace.layers);
  const Outcome outcome = simulate_exits(traced, costs, policy.score, lambda, policy.first_exit);
  policy::BudgetPoint point{lambda, mean(outcome.macs), mean_depth(outcome), 0, std::vector<double>(layers, 0)};
  const double share = 1.0 / static_cast<double>(outcome.size());
  for (std::size_t i = 0; i < outcome.size(); ++i) {
    point.agreement += outcome.labels[i] == trace.predictions[(i + 1) * layers - 1] ? share : 0;
    point.exits[static_cast<std::size_t>(outcome.depths[i]) - 1] += share;
  }
  point.agreement = std::min(1.0, point.agreement);
  for (double& exits : point.exits) exits = std::min(1.0, exits);
  return point;
}

}  // namespace

Json make_budget_table(const Traced& calibrate, const ModelSpec& spec, const policy::Policy& policy) {
  constexpr int kPoints = 33;
  const auto& scores = calibrate.trace.scores[static_cast<std::size_t>(policy.score)];
  if (policy.kind == policy::PolicyKind::gates || scores.empty() || calibrate.trace.size() == 0) return nullptr;
  policy::ExitCosts costs(spec, policy);
  policy::BudgetTable table{policy::score_name(policy.score), calibrate.trace.size(), {}};
  table.points.push_back(budget_point(calibrate, costs, policy, 2.0f));
  const policy::BudgetPoint cheapest = budget_point(calibrate, costs, policy, 0.0f);
  const double full = table.full_macs(), step = (full - cheapest.macs) / (kPoints - 1);
  for (int k = 1; k + 1 < kPoints && step > 0; ++k) {
    const float lambda = lambda_at_macs(calibrate, costs, policy.score, policy.first_exit, full - k * step);
    policy::BudgetPoint point = budget_point(calibrate, costs, policy, lambda);
    // Deciding for inputs that then run to the end can cost more than it saves: such a threshold serves no budget.
    if (point.macs < table.points.back().macs && point.macs > cheapest.macs) table.points.push_back(std::move(point));
  }
  if (cheapest.macs < full) table.points.push_back(cheapest);
  return policy::budget_table_to_json(table);
}

Json choose_operating_points(const policy::Trace& calibrate, const policy::Policy& policy, double budget) {
  const std::pair<const char*, policy::Score> systems[] = {{kFathom, policy.score},
                                                           {kEarlyExit, policy::Score::confidence},
                                                           {kPredictorOnly, policy::Score::predictor},
                                                           {kPolicyOnly, policy::Score::policy}};
  Json points = Json::object();
  for (const auto& [name, score] : systems) {
    // Gates have no threshold, and their LSTM has learnt to skip, not to stop.
    if (policy.kind == policy::PolicyKind::gates && (name == kFathom || name == kPolicyOnly)) continue;
    const auto& scores = calibrate.scores[static_cast<std::size_t>(score)];
    if (scores.empty()) continue;
    const float lambda = policy::choose_by_consistency(calibrate, scores, policy.first_exit, budget);
    points[name] = point_json(calibrate, score, lambda, policy.first_exit, budget);
  }
  return points;
}

std::optional<double> recorded_budget(const Json& fathom) {
  const auto points = fathom.find("operating_points");
  if (points == fathom.end() || !points->is_object() || !points->contains(kFathom)) return std::nullopt;
  const Json& point = (*points)[kFathom];
  if (!point.is_object() || !point.contains("budget") || !point["budget"].is_number()) return std::nullopt;
  return point["budget"].get<double>();
}

Result<OperatingPoint> read_operating_point(const Json& fathom, const std::string& system, const std::string& where) {
  const auto points = fathom.find("operating_points");
  if (points == fathom.end() || !points->is_object() || !points->contains(system))
    return Error{Code::corrupt_bundle, where + ": no operating point for '" + system + "'",
                 "the bundle was never calibrated: run `fathom fit` to its end"};
  const Json& point = (*points)[system];
  const std::string at = where + ": operating_points." + system;
  FATHOM_TRY(const std::string name, json_string(point, "score", at));
  OperatingPoint out;
  FATHOM_TRY(out.score, policy::parse_score(name, at));
  FATHOM_TRY(const double lambda, json_number(point, "lambda", 0, 2, at));
  out.lambda = static_cast<float>(lambda);
  return out;
}

Status calibrate_bundle(const std::filesystem::path& folder, const data::Dataset& dataset, engine::Runtime& runtime,
                        double budget, const Tick& tick, bool keep_points, data::Part part) {
  if (!(budget >= 0 && budget <= 1))
    return Error{Code::usage, "budget of disagreement: expected 0 to 1, got " + std::to_string(budget), ""};
  FATHOM_TRY(auto bundle, Bundle::open(folder));
  FATHOM_TRY(auto model, Model::load(bundle));
  FATHOM_TRY_VOID(check_finite(*model));
  FATHOM_TRY(auto plan, engine::Plan::compile(model, runtime));
  FATHOM_TRY(const Encoded inputs, encode_split(dataset, part, model->spec(), folder));
  FATHOM_TRY(const Traced traced, trace_inputs(plan, runtime, inputs, tick));
  Json fathom = bundle->fathom();
  fathom["budget_table"] = make_budget_table(traced, model->spec(), plan->policy());
  Json use = data::split_use_of(fathom);
  data::note_split_use(use, dataset, part, {data::kOperatingPoints});
  fathom["split_use"] = use;
  if (keep_points) return update_bundle(folder, fathom);
  const Json points = choose_operating_points(traced.trace, plan->policy(), budget);
  fathom["operating_points"] = points;
  if (points.contains(kFathom)) fathom["policy"]["lambda"] = points[kFathom]["lambda"];
  return update_bundle(folder, fathom);
}

}  // namespace fathom::eval
