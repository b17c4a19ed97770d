#include "eval/evaluate.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <map>
#include <mutex>
#include <optional>

#include "base/cpu.h"
#include "base/file.h"
#include "data/sample.h"
#include "data/utf8.h"
#include "eval/analysis.h"
#include "eval/contest.h"
#include "eval/peak.h"
#include "eval/scratch_folder.h"
#include "eval/timing.h"
#include "eval/verdict.h"

namespace fathom::eval {
namespace {

constexpr std::size_t kWorst = 10;
constexpr std::size_t kPeakInputs = 64;
constexpr std::size_t kTimedCurvePoints = 5;

Json curve_json(const System& system) {
  Json out = Json::array();
  for (const Point& p : system.curve) out.push_back({p.macs, p.value});
  if (out.empty() && system.outcome.size() > 0) out = Json::array();
  return out;
}

Json system_json(Contest& contest, const System& system) {
  const std::vector<std::int32_t>& labels = contest.test().labels;
  const policy::Interval d = difference(system.outcome, contest.system("base").outcome, labels, contest.data().seed);
  Json out = {{"name", system.name},
              {"metric", "accuracy"},
              {"value", accuracy(system.outcome, labels)},
              {"macs", mean(system.outcome.macs)},
              {"decision_macs", mean(system.outcome.decision_macs)},
              {"mean_depth", mean_depth(system.outcome)},
              {"ms_batch1", nullptr},
              {"ms_batch32", nullptr},
              {"peak_mb", nullptr},
              {"difference", d.mean},
              {"interval", {d.low, d.high}},
              {"curve", curve_json(system)},
              {"curve_ms", Json::array()}};
  if (system.curve.empty()) out["curve"].push_back({out["macs"], out["value"]});
  for (const auto& [key, value] : system.facts.items()) out[key] = value;
  return out;
}

Json versus_section(Contest& contest) {
  Json out = Json::object();
  const System& fathom = contest.system("fathom");
  for (const char* name : {"full_depth", "fixed_depth", "early_exit"}) {
    const policy::Interval d =
        difference(fathom.outcome, contest.system(name).outcome, contest.test().labels, contest.data().seed);
    out[name] = {{"difference", d.mean}, {"interval", {d.low, d.high}}};
  }
  for (const Rival& rival : contest.options().rivals) {
    const policy::Interval d =
        difference(fathom.outcome, contest.system(rival.name).outcome, contest.test().labels, contest.data().seed);
    out["rivals"][rival.name] = {{"difference", d.mean}, {"interval", {d.low, d.high}}};
  }
  const std::vector<Point>& rival = contest.system("early_exit").curve;
  out["early_exit"]["curve_at_same_macs"] = value_at(rival, mean(fathom.outcome.macs));
  if (!fathom.curve.empty() && !rival.empty()) {  // area under both curves where both are defined
    const double low = std::max(fathom.curve.front().macs, rival.front().macs);
    const double high = std::min(fathom.curve.back().macs, rival.back().macs);
    out["area"] = {{"from_macs", low},
                   {"to_macs", high},
                   {"fathom", mean_value(fathom.curve, low, high)},
                   {"early_exit", mean_value(rival, low, high)}};
  }
  return out;
}

// In the order drawn, for some systems are timed on the first of them.
std::vector<std::size_t> timing_rows(std::size_t all, std::size_t count) { return data::draw_rows(all, count); }

TimedRun timed(const System& system, const Encoded& sample, std::size_t all) {
  TimedRun run{system.name, system.loaded->plan, &sample, system.options, {}};
  if (system.masks.empty()) return run;
  for (const std::size_t row : timing_rows(all, sample.count)) run.masks.push_back(system.masks[row]);
  return run;
}

// Points of a curve worth timing: spread evenly over its MACs.
std::vector<Point> spread(const std::vector<Point>& curve, std::size_t most) {
  if (curve.size() <= most) return curve;
  std::vector<Point> out;
  const double low = curve.front().macs, high = curve.back().macs;
  for (std::size_t k = 0; k < most; ++k) {
    const double target = low + (high - low) * static_cast<double>(k) / static_cast<double>(most - 1);
    const auto nearest = std::min_element(curve.begin(), curve.end(), [&](const Point& a, const Point& b) {
      return std::abs(a.macs - target) < std::abs(b.macs - target);
    });
    if (out.empty() || nearest->macs > out.back().macs) out.push_back(*nearest);
  }
  return out;
}

Json* row_of(Json& eval, const std::string& name) {
  for (Json& row : eval["systems"])
    if (row["name"] == name) return &row;
  return nullptr;
}

// Settings on the curves, timed in rounds of their own: "curve_ms" = [[ms at batch 1, value], ...]; Fathom's own also
// into `thresholds`, for costs.json.
Status time_curves(Contest& contest, const Encoded& sample, const TimingOptions& base_options, Json& eval,
                   Json& thresholds) {
  std::vector<TimedRun> runs;
  std::vector<Point> points;
  for (const System& system : contest.systems()) {
    for (const Point& point : spread(system.curve, kTimedCurvePoints)) {
      TimedRun run{system.name, system.loaded->plan, &sample, system.options, {}};
      run.options.exit = point.exit;
      run.options.lambda = point.lambda;
      if (system.options.mode == engine::Mode::masks)
        run.masks = random_masks(sample.tokens, contest.costs(), point.macs, contest.data().seed);
      runs.push_back(std::move(run));
      points.push_back(point);
    }
  }
  TimingOptions options = base_options;
  options.rounds = kCurveRounds;
  options.batch32 = false;
  options.batch1_inputs = base_options.curve_inputs;
  FATHOM_TRY_VOID(time_runs(runs, contest.runtime(), options, contest.ticker("times of the curves")));
  for (std::size_t k = 0; k < runs.size(); ++k) {
    Json* row = row_of(eval, runs[k].name);
    if (row == nullptr) continue;
    (*row)["curve_ms"].push_back({runs[k].ms_batch1, points[k].value});
    if (runs[k].name == "fathom")
      thresholds.push_back({{"lambda", points[k].lambda}, {"macs", points[k].macs}, {"ms_batch1", runs[k].ms_batch1}});
  }
  return {};
}

// Rows that run through every checkpoint and never stop: at the shipped threshold, or, where hardly any do, at the
// highest threshold that still decides.
struct NeverExit {
  float lambda = -1;
  std::vector<std::size_t> rows;
};
NeverExit never_exit_rows(Contest& contest, std::size_t most) {
  const std::size_t enough = std::min<std::size_t>(32, most);
  NeverExit out;
  const policy::Policy& policy = contest.policy();
  const policy::Trace& trace = contest.test_trace().trace;
  const auto& scores = trace.scores[static_cast<std::size_t>(policy.score)];
  for (const float lambda : {policy.lambda, 1.0f}) {
    if (scores.empty() || !contest.costs().decides(lambda)) continue;
    out = {lambda, {}};
    const auto exits = policy::exits_at(scores, trace.layers, lambda, policy.first_exit);
    std::vector<std::size_t> deep;
    for (std::size_t i = 0; i < exits.size(); ++i)
      if (exits[i] == trace.layers) deep.push_back(i);
    for (const std::size_t i : data::draw_rows(deep.size(), most)) out.rows.push_back(deep[i]);
    if (out.rows.size() >= enough) return out;
  }
  out.rows.clear();
  return out;
}

// What deciding costs: in MACs from the ledger, in time at batch 1 as measured.
Result<Json> overhead_section(Contest& contest, const Encoded* sample, const TimingOptions& timing) {
  const System& fathom = contest.system("fathom");
  const double full = mean(contest.system("full_depth").outcome.macs);
  Json out = {{"macs_share_used", mean(fathom.outcome.decision_macs) / full},
              {"macs_share_every", nullptr},
              {"time_share_used", nullptr},
              {"time_share_every", nullptr},
              {"never_exit_inputs", 0},
              {"never_exit_time_ratio", nullptr}};
  const bool exits = contest.policy().kind == policy::PolicyKind::exits;
  if (exits) {
    double every = 0;
    const policy::Trace& trace = contest.test_trace().trace;
    for (const std::int32_t tokens : trace.tokens)
      every += contest.costs().adaptive(contest.policy().score, tokens, trace.layers).decision;
    out["macs_share_every"] = every / static_cast<double>(trace.size()) / full;
  }
  if (sample == nullptr) return out;
  contest.tell("times of deciding", 0, 1);
  FATHOM_TRY(const DecisionTime used,
             time_decision(fathom.loaded->plan, contest.runtime(), *sample, fathom.options.lambda, timing));
  out["time_share_used"] = used.decision / used.all;
  if (!exits) return out;
  const NeverExit never = never_exit_rows(contest, timing.never_exit_inputs);
  if (never.rows.empty()) return out;
  const Encoded deep = select(contest.test(), never.rows);
  std::vector<TimedRun> runs(2, TimedRun{"static", fathom.loaded->plan, &deep, {}, {}});
  runs[0].options.mode = engine::Mode::full_depth;
  runs[1].options.lambda = never.lambda;
  TimingOptions options = timing;
  options.batch32 = false;
  options.batch1_inputs = 0;  // all of these few
  FATHOM_TRY_VOID(time_runs(runs, contest.runtime(), options));
  FATHOM_TRY(const DecisionTime every,
             time_decision(fathom.loaded->plan, contest.runtime(), deep, never.lambda, options));
  out["never_exit_inputs"] = never.rows.size();
  out["never_exit_time_ratio"] = runs[1].ms_batch1 / runs[0].ms_batch1;
  out["time_share_every"] = every.decision / (every.all - every.decision);
  return out;
}

// The rows that are timed, as each of the bundles reads them.
using Samples = std::map<const Encoded*, Encoded>;
Samples samples_of(Contest& contest, std::size_t count) {
  Samples out;
  for (const System& system : contest.systems())
    if (!out.contains(system.inputs))
      out.emplace(system.inputs, select(*system.inputs, timing_rows(system.inputs->count, count)));
  return out;
}

Workload workload_of(Contest& contest) {
  constexpr double kOverhead = 0.1;  // of a run: deciding takes a larger share of time than of MACs
  const double full = mean(contest.system("full_depth").outcome.macs);
  Workload work;
  for (const System& system : contest.systems()) {
    if (system.measured_as.empty()) work.systems += kOverhead + mean(system.outcome.macs) / full;
    for (const Point& point : spread(system.curve, kTimedCurvePoints)) work.curves += kOverhead + point.macs / full;
  }
  return work;
}

Status add_times(Contest& contest, Json& eval, Json& thresholds) {
  TimingOptions options;
  options.seconds = contest.options().timing_seconds;
  FATHOM_TRY(options,
             fit_to_budget(contest.loaded().plan, contest.runtime(), contest.test(), workload_of(contest), options));
  const std::size_t count = options.inputs;
  const Samples samples = samples_of(contest, count);
  std::vector<TimedRun> runs;
  for (const System& system : contest.systems())
    if (system.measured_as.empty()) runs.push_back(timed(system, samples.at(system.inputs), contest.test().count));
  FATHOM_TRY_VOID(time_runs(runs, contest.runtime(), options, contest.ticker("times")));
  for (const TimedRun& run : runs) {
    Json& row = *row_of(eval, run.name);
    row["ms_batch1"] = run.ms_batch1;
    row["ms_batch32"] = run.ms_batch32;
  }
  const std::size_t at_batch1 = options.batch1_inputs == 0 ? count : options.batch1_inputs;
  eval["timing"] = {{"inputs", count},
                    {"inputs_batch1", std::min(count, at_batch1)},
                    {"rounds", options.rounds},
                    {"method", "median of interleaved rounds"}};
  const Encoded& sample = samples.at(&contest.test());
  FATHOM_TRY_VOID(time_curves(contest, sample, options, eval, thresholds));
  FATHOM_TRY(eval["overhead"], overhead_section(contest, &sample, options));
  return {};
}

// Inputs for the fresh processes, one file for each bundle; gone when this is.
class InputFiles {
 public:
  InputFiles() = default;
  InputFiles(const InputFiles&) = delete;
  InputFiles& operator=(const InputFiles&) = delete;
  Status write(Contest& contest) {
    FATHOM_TRY(folder_, ScratchFolder::make());
    for (const auto& [inputs, sample] : samples_of(contest, kPeakInputs)) {
      const fs::path file = *folder_ / std::to_string(files_.size());
      files_[inputs] = file;
      FATHOM_TRY_VOID(write_inputs(file, sample));
    }
    return {};
  }
  const fs::path& of(const System& system) const { return files_.at(system.inputs); }

 private:
  std::optional<ScratchFolder> folder_;
  std::map<const Encoded*, fs::path> files_;
};

// Processes beside each other, as many as there are cores for: each reads the peak of its own address space.
Status add_peaks(Contest& contest, Json& eval) {
  InputFiles files;
  FATHOM_TRY_VOID(files.write(contest));
  std::vector<const System*> systems;
  for (const System& system : contest.systems())
    if (system.measured_as.empty()) systems.push_back(&system);
  std::vector<std::optional<Result<double>>> peaks(systems.size());
  std::mutex mutex;
  std::size_t done = 0;
  const auto measure = [&](int index) {
    const System& system = *systems[static_cast<std::size_t>(index)];
    const PeakRun run{system.loaded->folder,  system.options.mode,      system.options.exit,
                      system.options.score,   system.options.lambda,    system.masks.empty() ? 0 : system.masks[0],
                      contest.options().tier, contest.options().threads};
    peaks[static_cast<std::size_t>(index)] = measure_peak(contest.options().self, run, files.of(system));
    std::lock_guard lock(mutex);
    contest.tell("peak memory", ++done, systems.size());
  };
  contest.crew().pool().parallel(static_cast<int>(systems.size()), measure);
  for (std::size_t i = 0; i < systems.size(); ++i) {
    FATHOM_TRY(const double peak, *peaks[i]);
    (*row_of(eval, systems[i]->name))["peak_mb"] = peak;
  }
  return {};
}

// A base without a bundle of its own is the full-depth system: the same measurement stands in both rows.
void share_measurements(Contest& contest, Json& eval) {
  for (const System& system : contest.systems()) {
    if (system.measured_as.empty()) continue;
    const Json& from = *row_of(eval, system.measured_as);
    for (const char* key : {"ms_batch1", "ms_batch32", "peak_mb"}) (*row_of(eval, system.name))[key] = from[key];
  }
}

std::string date_of(std::time_t seconds) {
  std::tm parts{};
  char text[32] = "";
  if (::gmtime_r(&seconds, &parts) != nullptr) std::strftime(text, sizeof text, "%Y-%m-%d", &parts);
  return text;
}

std::string today() { return date_of(std::time(nullptr)); }

// What a reader calls the data: the folder's name, and the day its newest file was written.
Json data_json(const fs::path& folder) {
  std::error_code failed;
  const fs::path whole = fs::weakly_canonical(folder, failed);
  std::time_t newest = 0;
  for (fs::directory_iterator it(whole, failed), end; !failed && it != end; it.increment(failed)) {
    const auto age = fs::file_time_type::clock::now() - it->last_write_time(failed);
    if (failed || !it->is_regular_file(failed)) continue;
    const auto written = std::chrono::system_clock::now() - age;
    newest = std::max(newest, std::chrono::system_clock::to_time_t(
                                  std::chrono::time_point_cast<std::chrono::system_clock::duration>(written)));
  }
  std::string name = whole.filename().string();
  if (name == "data" && whole.has_parent_path())  // says nothing by itself
    name = whole.parent_path().filename().string() + "/" + name;
  return {{"name", data::is_utf8(name) ? Json(name) : Json(nullptr)},
          {"date", newest > 0 ? Json(date_of(newest)) : Json(nullptr)}};
}

Json head_section(Contest& contest) {
  const ModelSpec& spec = contest.loaded().model->spec();
  const Json& fathom = contest.loaded().bundle->fathom();
  Json out = {{"format", 1},
              {"task", data::task_name(contest.data().dataset.task)},
              {"metric", "accuracy"},
              {"n_test", contest.test().count},
              {"n_calibrate", contest.calibrate_count()},
              {"seed", contest.data().seed},
              {"classes", spec.label_names},
              {"layers", spec.layers},
              {"hidden", spec.hidden},
              {"bundle", contest.loaded().bundle->checksum()},
              {"fingerprint", contest.data().dataset.fingerprint},
              {"data", data_json(contest.data().folder)},
              {"measured", today()},
              {"base_is", contest.own_base() ? "a bundle of its own" : "the same trunk at full depth"},
              {"truncated", contest.test().truncated},
              {"cpu", cpu_name()},
              {"tier", tier_name(contest.runtime().kernels().tier)},
              {"threads", contest.options().threads},
              {"budget_macs", contest.budget_macs()}};
  if (spec.modality == Modality::text) out["max_tokens"] = spec.max_tokens;
  if (!contest.data().note.empty()) out["note"] = contest.data().note;
  if (fathom.contains("provenance")) out["provenance"] = fathom["provenance"];
  return out;
}

void add_analysis(Contest& contest, Json& eval) {
  const System& fathom = contest.system("fathom");
  const policy::Trace& trace = contest.test_trace().trace;
  const Adaptive adaptive{contest.test_trace(), fathom.outcome, contest.policy().score, contest.policy().kind,
                          policy::stable_depth(trace.predictions, trace.layers)};
  eval["theorem"] = theorem_section(adaptive, contest.costs(), contest.policy().predictor_kind);
  eval["gamma"] = gamma_section(contest.test_trace());
  eval["depth"] = depth_section(adaptive);
  eval["complexity"] = complexity_section(adaptive);
  eval["predictor"] = predictor_section(adaptive, contest.policy().predictor_kind);
  add_classes(adaptive, contest.loaded().model->spec().label_names, eval);
  eval["enough"] = enough_section(adaptive, contest.costs(), contest.data().seed);
  eval["worst"] = worst_section(adaptive, contest.data().dataset, data::Part::test,
                                contest.loaded().model->spec().label_names, kWorst);
}

// Measured times beside the bundle; a bundle in a read-only place simply has none.
void write_costs(Contest& contest, const Json& eval, const Json& thresholds) {
  Json costs = {{"format", 1},
                {"precision", precision_name(contest.loaded().model->precision())},
                {"cpu", eval["cpu"]},
                {"tier", eval["tier"]},
                {"threads", contest.runtime().pool().threads()},
                {"systems", Json::array()}};
  for (const Json& row : eval["systems"])
    costs["systems"].push_back({{"name", row["name"]},
                                {"macs", row["macs"]},
                                {"ms_batch1", row["ms_batch1"]},
                                {"ms_batch32", row["ms_batch32"]},
                                {"peak_mb", row["peak_mb"]}});
  costs["thresholds"] = thresholds;
  const Status ignored = write_file_atomic(contest.loaded().folder / "costs.json", costs.dump(2) + "\n");
  (void)ignored;
}

}  // namespace

Result<Json> evaluate(const EvalOptions& options) {
  FATHOM_TRY(const std::unique_ptr<Contest> contest, Contest::prepare(options));
  Json eval = head_section(*contest);
  eval["systems"] = Json::array();
  std::vector<std::string> order(std::begin(kSystemNames), std::end(kSystemNames));
  for (const Rival& rival : options.rivals) order.push_back(rival.name);
  for (const std::string& name : order)
    for (const System& system : contest->systems())
      if (system.name == name) eval["systems"].push_back(system_json(*contest, system));
  Json thresholds = Json::array();
  if (options.times) {
    FATHOM_TRY_VOID(add_times(*contest, eval, thresholds));
  } else {
    FATHOM_TRY(eval["overhead"], overhead_section(*contest, nullptr, {}));
  }
  if (!options.self.empty()) FATHOM_TRY_VOID(add_peaks(*contest, eval));
  share_measurements(*contest, eval);
  eval["fathom_versus"] = versus_section(*contest);
  add_analysis(*contest, eval);
  eval["engine_check"] = contest->engine_check();
  eval["savings"] = savings_section(eval);
  eval["gates"] = options.gates ? gates_section(eval) : Json::array();
  if (options.write_costs && options.times) write_costs(*contest, eval, thresholds);
  return eval;
}

}  // namespace fathom::eval
