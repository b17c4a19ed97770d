#include "eval/contest.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <numeric>

#include "data/labels.h"
#include "data/sample.h"

namespace fathom::eval {
namespace {

constexpr std::size_t kCurvePoints = 60;
constexpr std::size_t kCheckRows = 256;    // engine check of the systems that are not Fathom: the same code runs them
constexpr std::size_t kDynamicRows = 512;  // rows of dynamic depth's curve points
constexpr std::size_t kLongestName = 40;   // of a rival
constexpr double kDefaultBudget = 0.005;   // disagreement, where a bundle carries no operating point

// How far the engine is from the simulation on these rows: labels, depths, and the largest relative difference of MACs.
Json compare(const std::string& name, const Outcome& simulated, const Outcome& engine,
             std::span<const std::size_t> rows) {
  std::size_t labels = 0, depths = 0;
  double macs = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    labels += simulated.labels[rows[i]] != engine.labels[i] ? 1 : 0;
    depths += simulated.depths[rows[i]] != engine.depths[i] ? 1 : 0;
    macs = std::max(macs, std::abs(simulated.macs[rows[i]] - engine.macs[i]) / engine.macs[i]);
  }
  return {{"system", name}, {"inputs", engine.size()}, {"labels", labels}, {"depths", depths}, {"macs", macs}};
}

// Every class of a guest as a number of the bundle's, by name; a checkpoint whose classes nobody named has them in
// order.
Result<std::vector<std::int32_t>> classes_in(const std::vector<std::string>& theirs,
                                             const std::vector<std::string>& ours, const std::string& who) {
  std::vector<std::int32_t> out(theirs.size());
  std::iota(out.begin(), out.end(), 0);
  const bool same_number = theirs.size() == ours.size();
  if (same_number && (theirs == ours || unnamed_labels(theirs))) return out;
  auto by_name = data::classes_by_name(theirs, ours);
  if (same_number && by_name) return by_name;
  return Error{Code::bad_input, who + " knows other classes than the bundle",
               "give a bundle that was trained on the same data"};
}

std::vector<std::string> renamed(const std::vector<std::int32_t>& classes, const std::vector<std::string>& names) {
  std::vector<std::string> out;
  for (const std::int32_t c : classes) out.push_back(names[static_cast<std::size_t>(c)]);
  return out;
}

Status check_rivals(const std::vector<Rival>& rivals) {
  std::vector<std::string> taken(std::begin(kSystemNames), std::end(kSystemNames));
  for (const Rival& rival : rivals) {
    const bool plain = std::all_of(rival.name.begin(), rival.name.end(),
                                   [](unsigned char c) { return std::isalnum(c) || c == '_' || c == '-' || c == '.'; });
    if (!plain || rival.name.empty() || rival.name.size() > kLongestName)
      return Error{Code::usage, "--rival: '" + rival.name + "' cannot name a row",
                   "1 to " + std::to_string(kLongestName) + " letters, digits, '_', '-' or '.'"};
    if (std::find(taken.begin(), taken.end(), rival.name) != taken.end())
      return Error{Code::usage, "--rival: the table already has a row '" + rival.name + "'", "choose another name"};
    taken.push_back(rival.name);
  }
  return {};
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
  FATHOM_TRY_VOID(contest->add_rivals());
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

Tick Contest::ticker(const std::string& stage) const {
  return [this, stage](std::size_t done, std::size_t total) { tell(stage, done, total); };
}

Status Contest::open(const EvalOptions& options) {
  options_ = options;
  FATHOM_TRY_VOID(check_rivals(options.rivals));
  FATHOM_TRY(runtime_, engine::Runtime::create({options.tier, options.threads}));
  FATHOM_TRY(crew_, engine::Runtime::create({options.tier, 0}));
  FATHOM_TRY(loaded_, load(options.bundle, *runtime_));
  if (!loaded_.model->has_decision())
    return Error{Code::unsupported,
                 "bundle '" + options.bundle.string() + "' has no exits: there is nothing to compare",
                 "make it adaptive with `fathom fit --from`"};
  const std::string where = (options.bundle / "fathom.json").string();
  FATHOM_TRY(data_, read_eval_data(loaded_.bundle->fathom(), options.data, where, true));
  const ModelSpec& spec = loaded_.model->spec();
  if (spec.layers < 2)
    return Error{Code::unsupported, "the model has one layer: there is no depth to choose", "use a deeper model"};
  costs_ = std::make_unique<ExitCosts>(spec, policy());
  FATHOM_TRY(calibrate_, encode_split(data_.dataset, data::Part::calibrate, spec, options.bundle));
  FATHOM_TRY(test_, encode_split(data_.dataset, data::Part::test, spec, options.bundle, options.max_test));
  return {};
}

Status Contest::trace_splits() {
  FATHOM_TRY(calibrate_trace_, trace_inputs(loaded_.plan, *crew_, calibrate_, ticker("every exit, calibrate")));
  FATHOM_TRY(test_trace_, trace_inputs(loaded_.plan, *crew_, test_, ticker("every exit, test")));
  return {};
}

Status Contest::add_base() {
  System full{"full_depth", &loaded_, &test_, {}, {}, {}, {}, Json::object(), ""};
  full.options.mode = engine::Mode::full_depth;
  full.outcome = simulate_fixed(test_trace_.trace, *costs_, test_trace_.trace.layers);
  System base = full;
  if (own_base()) {
    FATHOM_TRY_VOID(add_guest("base", options_.base, {{"same_trunk", false}}));
  } else {
    base.name = "base";
    base.facts["same_trunk"] = true;
    base.measured_as = full.name;
    systems_.push_back(std::move(base));
  }
  systems_.push_back(std::move(full));
  return {};
}

Status Contest::add_rivals() {
  for (const Rival& rival : options_.rivals) FATHOM_TRY_VOID(add_guest(rival.name, rival.bundle, {{"rival", true}}));
  return {};
}

Status Contest::add_guest(const std::string& name, const std::filesystem::path& folder, const Json& facts) {
  const std::string who = name + " '" + folder.string() + "'";
  Guest& guest = guests_.emplace_back();
  auto loaded = load(folder, *runtime_);
  if (!loaded) return loaded.error().within(who);
  guest.loaded = std::move(loaded).value();
  ModelSpec spec = guest.loaded.model->spec();
  FATHOM_TRY(const auto classes, classes_in(spec.label_names, loaded_.model->spec().label_names, who));
  spec.label_names = renamed(classes, loaded_.model->spec().label_names);
  auto test = encode_split(data_.dataset, data::Part::test, spec, folder, options_.max_test);
  if (!test) return test.error().within(who);
  guest.test = std::move(test).value();
  System system{name, &guest.loaded, &guest.test, {}, {}, {}, {}, facts, ""};
  system.options.mode = engine::Mode::full_depth;
  FATHOM_TRY(const auto predictions,
             run_inputs(guest.loaded.plan, *crew_, guest.test, system.options, {}, ticker("full depth, " + name)));
  system.outcome = outcome_of(predictions);
  for (std::int32_t& label : system.outcome.labels) label = classes[static_cast<std::size_t>(label)];
  system.facts["layers"] = spec.layers;
  system.facts["bundle"] = guest.loaded.bundle->checksum();
  if (spec.modality == Modality::text) system.facts["max_tokens"] = spec.max_tokens;
  systems_.push_back(std::move(system));
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
    FATHOM_TRY(const auto calibrated,
               run_inputs(loaded_.plan, *crew_, calibrate_, fathom.options, {}, ticker("gates, calibrate")));
    budget_macs_ = mean(outcome_of(calibrated).macs);
    FATHOM_TRY(const auto predictions,
               run_inputs(loaded_.plan, *crew_, test_, fathom.options, {}, ticker("gates, test")));
    fathom.outcome = outcome_of(predictions);
    fathom.facts["score"] = "gates";
  } else {
    const OperatingPoint point = {policy().score, policy().lambda};
    const Outcome calibrated =
        simulate_exits(calibrate_trace_, *costs_, point.score, point.lambda, policy().first_exit);
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
  const float matched = lambda_at_macs(calibrate_trace_, *costs_, Score::confidence, policy().first_exit, budget_macs_);
  add_exit_system(kEarlyExit, {Score::confidence, matched}, "macs");
  FATHOM_TRY(const OperatingPoint own, point_of(kEarlyExit, Score::confidence));
  add_exit_system("early_exit_calibrated", own, "consistency");
  system("early_exit_calibrated").curve.clear();  // the same curve as early_exit's
  if (options_.at_macs > 0) FATHOM_TRY_VOID(add_at_macs());
  const bool closed = policy().kind == policy::PolicyKind::exits;  // gates' LSTM has not learnt to stop
  for (const auto& [name, score] :
       {std::pair(kPredictorOnly, Score::predictor), std::pair(kPolicyOnly, Score::policy)}) {
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
    return Error{Code::unsupported,
                 "--at-macs: the gates of this bundle decide without a threshold, so they cannot be set to MACs",
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
  FATHOM_TRY(const auto predictions,
             run_inputs(loaded_.plan, *crew_, test_, dynamic.options, dynamic.masks, ticker("dynamic depth")));
  dynamic.outcome = outcome_of(predictions);
  dynamic.facts = {{"set_to", "macs"}};
  const int layers = loaded_.model->spec().layers;
  const std::vector<std::size_t> rows = data::sample_rows(test_.count, kDynamicRows);
  const Encoded few = select(test_, rows);
  for (int quarter = 1; quarter <= 4; ++quarter) {
    const int kept = std::max(1, layers * quarter / 4);
    double macs = 0;
    for (const std::int32_t tokens : few.tokens) macs += costs_->layers_run(tokens, kept).macs;
    macs /= static_cast<double>(few.count);
    Outcome outcome;
    if (kept == layers) {  // nothing is dropped: known from the trace
      for (const std::size_t row : rows) outcome.labels.push_back(system("full_depth").outcome.labels[row]);
    } else {
      const auto masks = random_masks(few.tokens, *costs_, macs, data_.seed);
      FATHOM_TRY(const auto run,
                 run_inputs(loaded_.plan, *crew_, few, dynamic.options, masks, ticker("dynamic depth, curve")));
      outcome = outcome_of(run);
    }
    dynamic.curve.push_back({macs, accuracy(outcome, few.labels), 0, kept});
  }
  systems_.push_back(std::move(dynamic));
  return {};
}

// The simulation must be what the engine does: Fathom on every test input, the others on some of them.
Status Contest::check_engine() {
  const std::vector<std::size_t> every = data::sample_rows(test_.count, 0),
                                 some = data::sample_rows(test_.count, kCheckRows);
  const Encoded few = select(test_, some);
  for (System& system : systems_) {
    const bool fathom = system.name == kFathom;
    if (system.options.mode == engine::Mode::masks || system.loaded != &loaded_ || system.name == "base") continue;
    if (fathom && policy().kind == policy::PolicyKind::gates) continue;  // is the engine's own run
    const Tick tick = ticker("engine check, " + system.name);
    FATHOM_TRY(const auto predictions,
               run_inputs(loaded_.plan, *crew_, fathom ? test_ : few, system.options, {}, tick));
    const Outcome engine = outcome_of(predictions);
    engine_check_.push_back(compare(system.name, system.outcome, engine, fathom ? every : some));
    if (fathom) system.outcome = engine;  // the row shows what was really run
  }
  return {};
}

}  // namespace fathom::eval
