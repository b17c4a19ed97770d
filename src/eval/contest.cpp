#include "eval/contest.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace fathom::eval {
namespace {

constexpr std::size_t kCurvePoints = 60;
constexpr std::size_t kCheckRows = 2000;    // engine check of the systems that are not Fathom
constexpr std::size_t kDynamicRows = 2000;  // rows of dynamic depth's curve points
constexpr double kDefaultBudget = 0.005;    // disagreement, where a bundle carries no operating point

std::vector<std::size_t> first_rows(std::size_t count) {
  std::vector<std::size_t> rows(count);
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  return rows;
}

// How far the engine is from the simulation: labels, depths, and the largest relative difference of MACs.
Json compare(const std::string& name, const Outcome& simulated, const Outcome& engine) {
  std::size_t labels = 0, depths = 0;
  double macs = 0;
  for (std::size_t i = 0; i < engine.size(); ++i) {
    labels += simulated.labels[i] != engine.labels[i] ? 1 : 0;
    depths += simulated.depths[i] != engine.depths[i] ? 1 : 0;
    macs = std::max(macs, std::abs(simulated.macs[i] - engine.macs[i]) / engine.macs[i]);
  }
  return {{"system", name}, {"inputs", engine.size()}, {"labels", labels}, {"depths", depths}, {"macs", macs}};
}

}  // namespace

Result<Loaded> load(const std::filesystem::path& folder, engine::Runtime& runtime) {
  Loaded out;
  out.folder = folder;
  FATHOM_TRY(out.bundle, Bundle::open(folder));
  FATHOM_TRY(out.model, Model::load(out.bundle));
  FATHOM_TRY(out.plan, engine::Plan::compile(out.model, runtime));
  return out;
}

Result<std::unique_ptr<Contest>> Contest::prepare(const EvalOptions& options) {
  std::unique_ptr<Contest> contest(new Contest());
  FATHOM_TRY_VOID(contest->open(options));
  FATHOM_TRY_VOID(contest->trace_splits());
  FATHOM_TRY_VOID(contest->add_base());
  FATHOM_TRY_VOID(contest->add_fathom());
  contest->add_fixed();
  FATHOM_TRY_VOID(contest->add_exit_systems());
  FATHOM_TRY_VOID(contest->add_dynamic_depth());
  FATHOM_TRY_VOID(contest->check_engine());
  return contest;
}

System& Contest::system(const std::string& name) {
  const auto found = std::find_if(systems_.begin(), systems_.end(), [&](const System& s) { return s.name == name; });
  FATHOM_CHECK(found != systems_.end(), "no such system");
  return *found;
}

void Contest::tell(const std::string& stage, std::size_t done, std::size_t total) const {
  if (options_.progress) options_.progress(stage, done, total);
}

Status Contest::open(const EvalOptions& options) {
  options_ = options;
  FATHOM_TRY(runtime_, engine::Runtime::create({options.tier, options.threads}));
  FATHOM_TRY(loaded_, load(options.bundle, *runtime_));
  if (!loaded_.model->has_decision())
    return Error{Code::unsupported, "bundle '" + options.bundle.string() + "' has no exits: there is nothing to compare",
                 "make it adaptive with `fathom fit --from`"};
  const std::string where = (options.bundle / "fathom.json").string();
  FATHOM_TRY(data_, read_eval_data(loaded_.bundle->fathom(), options.data, where));
  const ModelSpec& spec = loaded_.model->spec();
  if (spec.layers < 2)
    return Error{Code::unsupported, "the model has one layer: there is no depth to choose", "use a deeper model"};
  costs_ = std::make_unique<ExitCosts>(spec, policy());
  FATHOM_TRY(calibrate_, encode_split(data_.dataset, data::Part::calibrate, spec, options.bundle));
  FATHOM_TRY(test_, encode_split(data_.dataset, data::Part::test, spec, options.bundle, options.max_test));
  return {};
}

Status Contest::trace_splits() {
  const auto ticker = [this](const char* stage) {
    return [this, stage](std::size_t done, std::size_t total) { tell(stage, done, total); };
  };
  FATHOM_TRY(calibrate_trace_, trace_inputs(loaded_.plan, *runtime_, calibrate_, ticker("calibrate split")));
  FATHOM_TRY(test_trace_, trace_inputs(loaded_.plan, *runtime_, test_, ticker("test split")));
  return {};
}

Status Contest::add_base() {
  System full{"full_depth", &loaded_, &test_, {}, {}, {}, {}, Json::object(), ""};
  full.options.mode = engine::Mode::full_depth;
  full.outcome = simulate_fixed(test_trace_.trace, *costs_, test_trace_.trace.layers);
  System base = full;
  base.name = "base";
  if (options_.base.empty()) {
    base.facts["same_trunk"] = true;
    base.measured_as = full.name;
  } else {
    FATHOM_TRY(base_, load(options_.base, *runtime_));
    const ModelSpec& spec = base_->model->spec();
    if (spec.label_names != loaded_.model->spec().label_names)
      return Error{Code::bad_input, "the base bundle '" + options_.base.string() + "' knows other classes",
                   "give a base that was trained on the same data"};
    FATHOM_TRY(base_test_, encode_split(data_.dataset, data::Part::test, spec, options_.base, options_.max_test));
    FATHOM_TRY(const auto predictions, run_inputs(base_->plan, *runtime_, base_test_, base.options));
    base.outcome = outcome_of(predictions);
    base.loaded = &*base_;
    base.inputs = &base_test_;
    base.facts["same_trunk"] = false;
  }
  systems_.push_back(std::move(base));
  systems_.push_back(std::move(full));
  return {};
}

Result<OperatingPoint> Contest::point_of(const std::string& name, policy::Score score) const {
  const Json& fathom = loaded_.bundle->fathom();
  if (fathom.contains("operating_points") && fathom["operating_points"].contains(name))
    return read_operating_point(fathom, name, (options_.bundle / "fathom.json").string());
  const auto& scores = calibrate_trace_.trace.scores[static_cast<std::size_t>(score)];
  return OperatingPoint{
      score, policy::choose_by_consistency(calibrate_trace_.trace, scores, policy().first_exit, kDefaultBudget)};
}

Status Contest::add_fathom() {
  System fathom{kFathom, &loaded_, &test_, {}, {}, {}, {}, Json::object(), ""};
  fathom.options.mode = engine::Mode::adaptive;
  if (policy().kind == policy::PolicyKind::gates) {
    FATHOM_TRY(const auto calibrated, run_inputs(loaded_.plan, *runtime_, calibrate_, fathom.options));
    budget_macs_ = mean(outcome_of(calibrated).macs);
    FATHOM_TRY(const auto predictions, run_inputs(loaded_.plan, *runtime_, test_, fathom.options));
    fathom.outcome = outcome_of(predictions);
    fathom.facts["score"] = "gates";
  } else {
    const OperatingPoint point = {policy().score, policy().lambda};
    const Outcome calibrated = simulate_exits(calibrate_trace_, *costs_, point.score, point.lambda, policy().first_exit);
    budget_macs_ = mean(calibrated.macs);
    fathom.options.lambda = point.lambda;
    fathom.outcome = simulate_exits(test_trace_, *costs_, point.score, point.lambda, policy().first_exit);
    fathom.facts = {{"score", policy::score_name(point.score)}, {"lambda", point.lambda}, {"set_to", "consistency"}};
    fathom.curve = curve_exits(test_trace_, *costs_, point.score, policy().first_exit, kCurvePoints);
  }
  systems_.push_back(std::move(fathom));
  return {};
}

void Contest::add_fixed() {
  System fixed{"fixed_depth", &loaded_, &test_, {}, {}, {}, {}, Json::object(), ""};
  const int exit = exit_at_macs(calibrate_trace_.trace, *costs_, budget_macs_);
  fixed.options.mode = engine::Mode::fixed_exit;
  fixed.options.exit = exit;
  fixed.outcome = simulate_fixed(test_trace_.trace, *costs_, exit);
  fixed.curve = curve_fixed(test_trace_.trace, *costs_);
  fixed.facts = {{"exit", exit}, {"set_to", "macs"}};
  systems_.push_back(std::move(fixed));
}

void Contest::add_exit_system(const std::string& name, OperatingPoint point, const std::string& set_to) {
  System system{name, &loaded_, &test_, {}, {}, {}, {}, Json::object(), ""};
  system.options.mode = engine::Mode::adaptive;
  system.options.score = static_cast<int>(point.score);
  system.options.lambda = point.lambda;
  system.outcome = simulate_exits(test_trace_, *costs_, point.score, point.lambda, policy().first_exit);
  system.curve = curve_exits(test_trace_, *costs_, point.score, policy().first_exit, kCurvePoints);
  system.facts = {{"score", policy::score_name(point.score)}, {"lambda", point.lambda}, {"set_to", set_to}};
  systems_.push_back(std::move(system));
}

Status Contest::add_exit_systems() {
  using policy::Score;
  const float matched =
      lambda_at_macs(calibrate_trace_, *costs_, Score::confidence, policy().first_exit, budget_macs_);
  add_exit_system(kEarlyExit, {Score::confidence, matched}, "macs");
  FATHOM_TRY(const OperatingPoint own, point_of(kEarlyExit, Score::confidence));
  add_exit_system("early_exit_calibrated", own, "consistency");
  system("early_exit_calibrated").curve.clear();  // the same curve as early_exit's
  if (options_.at_macs > 0) FATHOM_TRY_VOID(add_at_macs());
  const bool closed = policy().kind == policy::PolicyKind::exits;  // gates' LSTM has not learnt to stop
  for (const auto& [name, score] : {std::pair(kPredictorOnly, Score::predictor), std::pair(kPolicyOnly, Score::policy)}) {
    if (test_trace_.trace.scores[static_cast<std::size_t>(score)].empty()) continue;
    if (score == Score::policy && !closed) continue;
    FATHOM_TRY(const OperatingPoint point, point_of(name, score));
    add_exit_system(name, point, "consistency");
  }
  return {};
}

// For comparison with another bundle at the MACs that one uses.
Status Contest::add_at_macs() {
  if (policy().kind == policy::PolicyKind::gates)
    return Error{Code::unsupported, "--at-macs: the gates of this bundle decide without a threshold, so they cannot be set to MACs",
                 "give it for the other bundle, with this one's MACs"};
  const float lambda = lambda_at_macs(calibrate_trace_, *costs_, policy().score, policy().first_exit, options_.at_macs);
  add_exit_system("fathom_at_macs", {policy().score, lambda}, "macs");
  System& added = system("fathom_at_macs");
  added.curve.clear();  // the same curve as Fathom's
  added.facts["at_macs"] = options_.at_macs;
  return {};
}

Status Contest::add_dynamic_depth() {
  System dynamic{"dynamic_depth", &loaded_, &test_, {}, {}, {}, {}, Json::object(), ""};
  dynamic.options.mode = engine::Mode::masks;
  dynamic.masks = random_masks(test_.tokens, *costs_, budget_macs_, data_.seed);
  FATHOM_TRY(const auto predictions, run_inputs(loaded_.plan, *runtime_, test_, dynamic.options, dynamic.masks));
  dynamic.outcome = outcome_of(predictions);
  dynamic.facts = {{"set_to", "macs"}};
  const int layers = loaded_.model->spec().layers;
  const Encoded few = select(test_, first_rows(std::min(kDynamicRows, test_.count)));
  for (int quarter = 1; quarter <= 4; ++quarter) {
    const int kept = std::max(1, layers * quarter / 4);
    double macs = 0;
    for (const std::int32_t tokens : few.tokens) macs += costs_->layers_run(tokens, kept).macs;
    macs /= static_cast<double>(few.count);
    const auto masks = random_masks(few.tokens, *costs_, macs, data_.seed);
    FATHOM_TRY(const auto run, run_inputs(loaded_.plan, *runtime_, few, dynamic.options, masks));
    dynamic.curve.push_back({macs, accuracy(outcome_of(run), few.labels), 0, kept});
  }
  systems_.push_back(std::move(dynamic));
  return {};
}

// The simulation must be what the engine does: Fathom on every test input, the others on the first of them.
Status Contest::check_engine() {
  const Encoded few = select(test_, first_rows(std::min(kCheckRows, test_.count)));
  for (System& system : systems_) {
    const bool fathom = system.name == kFathom;
    if (system.options.mode == engine::Mode::masks || system.loaded != &loaded_ || system.name == "base") continue;
    if (fathom && policy().kind == policy::PolicyKind::gates) continue;  // is the engine's own run
    tell("engine check", static_cast<std::size_t>(&system - systems_.data()) + 1, systems_.size());
    FATHOM_TRY(const auto predictions, run_inputs(loaded_.plan, *runtime_, fathom ? test_ : few, system.options));
    const Outcome engine = outcome_of(predictions);
    engine_check_.push_back(compare(system.name, system.outcome, engine));
    if (fathom) system.outcome = engine;  // the row shows what was really run
  }
  return {};
}

}  // namespace fathom::eval
