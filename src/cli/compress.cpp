// `fathom compress BUNDLE [--prune heads=25%,ffn=40%] [--precision bf16|int8] -o OUT`: fewer heads and neurons, layers in fewer bits, in
// that order; thresholds chosen anew for their answers, and what that changed: size, memory, time, agreement, measured through the
// engine on the calibrate split.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <map>
#include <numeric>
#include <optional>

#include "base/log.h"
#include "bundle/bundle.h"
#include "cli/flags.h"
#include "cli/verbs.h"
#include "cli/words.h"
#include "compress/prune.h"
#include "compress/rewrite.h"
#include "compress/to_precision.h"
#include "eval/calibrate_bundle.h"
#include "eval/map_inputs.h"
#include "eval/recorded_data.h"
#include "eval/timing.h"
#include "eval/trace.h"

namespace fathom::cli {
namespace {

constexpr std::size_t kMostRows = 1000;     // compared
constexpr std::size_t kTimedRows = 200;     // of them, that times are taken on
constexpr std::size_t kMeanRows = 256;      // of the calibrate split, that biases are corrected on
constexpr std::size_t kMomentRows = 1024;   // of the calibrate split, that heads and neurons are chosen on
constexpr double kDefaultBudget = 0.005;    // as fit's --max-disagreement

struct Options {
  fs::path bundle, out, data;
  std::string precision, prune;
  engine::RuntimeOptions runtime;
  double seconds = 10;
  bool json = false;
};

struct Side {  // a bundle before or after
  std::string name;
  std::shared_ptr<const engine::Plan> plan;
  double file_mb = 0, weights_mb = 0;
};

Result<Side> open_side(const std::string& name, const fs::path& folder, engine::Runtime& runtime) {
  Side side{name, nullptr, 0, 0};
  FATHOM_TRY(const auto bundle, Bundle::open(folder));
  for (const auto& [file, entry] : bundle->fathom()["files"].items()) side.file_mb += entry["bytes"].get<double>() / 1e6;
  FATHOM_TRY(const auto model, Model::load(bundle));
  FATHOM_TRY(side.plan, engine::Plan::compile(model, runtime));
  side.weights_mb = static_cast<double>(side.plan->weight_bytes(side.plan->spec().layers)) / 1e6;
  return side;
}

// Rows "fp32 full_depth", "fp32 fathom", "int8 full_depth", ...: agreement is with the first.
Result<Json> compare(const std::vector<Side>& sides, const eval::Encoded& inputs, engine::Runtime& runtime, double seconds) {
  Json rows = Json::array();
  const eval::Encoded some = eval::select(inputs, eval::spread_rows(inputs.count, kTimedRows));
  std::vector<eval::TimedRun> timed;
  std::vector<std::int32_t> before;
  for (const Side& side : sides)
    for (const bool adaptive : {false, true}) {
      if (adaptive && !side.plan->decides()) continue;
      engine::RunOptions run;
      run.mode = adaptive ? engine::Mode::adaptive : engine::Mode::full_depth;
      FATHOM_TRY(const auto answers, eval::run_inputs(side.plan, runtime, inputs, run));
      if (before.empty())
        for (const auto& answer : answers) before.push_back(answer.label);
      double agree = 0, right = 0, macs = 0, depth = 0;
      for (std::size_t i = 0; i < answers.size(); ++i) {
        agree += answers[i].label == before[i];
        right += !inputs.labels.empty() && answers[i].label == inputs.labels[i];
        macs += answers[i].macs;
        depth += answers[i].depth;
      }
      const double n = static_cast<double>(answers.size());
      const std::string name = side.name + (adaptive ? " fathom" : " full_depth");
      rows.push_back({{"name", name}, {"bundle", side.name}, {"adaptive", adaptive}, {"agreement", agree / n}, {"macs", macs / n}, {"mean_depth", depth / n},
                      {"accuracy", inputs.labels.empty() ? Json(nullptr) : Json(right / n)}});
      timed.push_back({name, side.plan, &some, run, {}, 0, 0});
    }
  eval::TimingOptions timing;
  timing.seconds = seconds;
  FATHOM_TRY(timing, eval::fit_to_budget(sides[0].plan, runtime, some, {static_cast<double>(timed.size()), 0}, timing));
  FATHOM_TRY_VOID(eval::time_runs(timed, runtime, timing));
  for (std::size_t i = 0; i < timed.size(); ++i) {
    rows[i]["ms_batch1"] = timed[i].ms_batch1;
    rows[i]["ms_batch32"] = timed[i].ms_batch32;
  }
  return rows;
}

void print(const Json& report) {
  std::printf("%-24s %10s %10s %9s %8s %10s %10s\n", "", "agreement", "accuracy", "MACs", "depth", "ms, b. 1", "ms, b. 32");
  for (const Json& row : report["systems"])
    std::printf("%-24s %8.2f %% %10s %9s %8.2f %10.3f %10.3f\n", row["name"].get<std::string>().c_str(), 100 * row["agreement"].get<double>(),
                row["accuracy"].is_null() ? "-" : (Json(std::round(1e4 * row["accuracy"].get<double>()) / 100).dump() + " %").c_str(),
                macs_text(row["macs"].get<double>()).c_str(), row["mean_depth"].get<double>(), row["ms_batch1"].get<double>(), row["ms_batch32"].get<double>());
  for (const Json& side : report["bundles"])
    std::printf("%-24s files %.1f MB, packed weights %.1f MB\n", side["name"].get<std::string>().c_str(), side["file_mb"].get<double>(),
                side["weights_mb"].get<double>());
}

// "heads=25%,ffn=0.4"
Result<compress::PruneShares> parse_shares(const std::string& text) {
  const auto wrong = [&](const std::string& what) {
    return Error{Code::usage, "--prune '" + text + "': " + what, "give shares to take out, as in --prune heads=25%,ffn=40%"};
  };
  compress::PruneShares out;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    const std::string part = text.substr(at, end - at), name = part.substr(0, part.find('='));
    at = end + 1;
    if (name != "heads" && name != "ffn") return wrong("'" + name + "' cannot be pruned");
    const bool percent = part.ends_with('%');
    const std::string number = part.size() > name.size() ? part.substr(name.size() + 1, part.size() - name.size() - 1 - (percent ? 1 : 0)) : "";
    double value = 0;
    const auto [read, error] = std::from_chars(number.data(), number.data() + number.size(), value);
    if (error != std::errc{} || read != number.data() + number.size()) return wrong("'" + part + "' has no number");
    value = percent ? value / 100 : value;
    if (!(value >= 0 && value < 1)) return wrong("'" + part + "' must lie from 0 to below 100 %");
    (name == "heads" ? out.heads : out.ffn) = value;
  }
  return out;
}

// Where steps write until all of them are done: beside the folder to make, so that an interrupted run leaves that as it was.
class Stage {
 public:
  explicit Stage(const fs::path& out) : out_(out.has_filename() ? out : out.parent_path()), folder_(out_.string() + ".part") { clear(); }
  ~Stage() { clear(); }
  const fs::path& last() const { return last_; }
  fs::path next() { return last_ = folder_ / std::to_string(++steps_); }

  // What the last step wrote becomes the folder to make.
  Status finish() const {
    std::error_code error;
    if (!fs::exists(out_, error)) fs::rename(last_, out_, error);
    if (fs::exists(out_) && !fs::exists(last_)) return {};
    FATHOM_TRY(const auto made, Bundle::open(last_));
    std::map<std::string, fs::path> files;
    for (const auto& [name, entry] : made->fathom()["files"].items()) files[name] = last_ / name;
    return write_bundle(out_, {}, made->fathom(), files);
  }

 private:
  void clear() {  // what steps write, now or in a run that was interrupted; the folder too unless something else lies in it
    std::error_code ignored;
    for (int step = 1; step <= kMostSteps; ++step) fs::remove_all(folder_ / std::to_string(step), ignored);
    fs::remove(folder_, ignored);
  }
  static constexpr int kMostSteps = 2;
  fs::path out_, folder_, last_;
  int steps_ = 0;
};

Status prune(const fs::path& from, const fs::path& to, const compress::PruneShares& shares, const eval::Encoded& all, engine::Runtime& runtime) {
  FATHOM_TRY(const auto bundle, Bundle::open(from));
  FATHOM_TRY(const auto model, Model::load(bundle));
  FATHOM_TRY(const auto plan, engine::Plan::compile(model, runtime));
  const eval::Encoded inputs = eval::select(all, eval::spread_rows(all.count, kMomentRows));
  Progress progress("prune, layer by layer", model->spec().layers);
  // As many layers in one pass over the inputs as this much memory holds.
  constexpr std::size_t kMomentBytes = std::size_t{256} << 20;
  const std::size_t width = static_cast<std::size_t>(model->spec().attention_width()), ffn = static_cast<std::size_t>(model->spec().ffn);
  const int at_once = static_cast<int>(std::max<std::size_t>(1, kMomentBytes / ((width * width + ffn * ffn) * sizeof(float))));
  std::vector<InputMoments> some;
  const auto moments = [&](int layer) -> Result<InputMoments> {
    progress.update(layer);
    if (layer % at_once == 0) {
      some.clear();
      FATHOM_TRY(some, eval::input_moments(plan, runtime, inputs, layer, std::min(at_once, model->spec().layers - layer)));
    }
    return std::move(some[static_cast<std::size_t>(layer % at_once)]);
  };
  FATHOM_TRY(const auto report, compress::prune(from, to, shares, moments));
  progress.update(model->spec().layers);
  double heads_lost = 0, ffn_lost = 0;
  for (const auto& layer : report.layers) {
    heads_lost += layer.heads_lost / static_cast<double>(report.layers.size());
    ffn_lost += layer.ffn_lost / static_cast<double>(report.layers.size());
  }
  char lost[128];
  std::snprintf(lost, sizeof lost, "; of what attention and feed-forward blocks add, %.1f and %.1f %% is lost on average", 100 * heads_lost, 100 * ffn_lost);
  say("pruned on " + std::to_string(inputs.count) + " inputs of the calibrate split: " + std::to_string(model->spec().heads) + " -> " + std::to_string(report.heads) +
      " heads, " + std::to_string(model->spec().ffn) + " -> " + std::to_string(report.ffn) + " neurons a layer" + lost);
  return {};
}

Status to_precision(const fs::path& from, const fs::path& to, Precision precision, const std::optional<eval::Encoded>& inputs, engine::Runtime& runtime) {
  std::optional<InputSums> sums;
  if (inputs && precision == Precision::int8) {
    FATHOM_TRY(const auto bundle, Bundle::open(from));
    FATHOM_TRY(const auto model, Model::load(bundle));
    if (model->precision() == Precision::fp32) {  // else the transform says what is wrong
      FATHOM_TRY(const auto plan, engine::Plan::compile(model, runtime));
      FATHOM_TRY(sums, eval::input_sums(plan, runtime, eval::select(*inputs, eval::spread_rows(inputs->count, kMeanRows))));
      say("biases corrected for what rounding changes on average, on " + std::to_string(std::min(inputs->count, kMeanRows)) + " inputs of the calibrate split");
    }
  } else if (precision == Precision::int8) {
    say("no data known to correct biases on: with --data FOLDER answers come closer to those before");
  }
  return compress::to_precision(from, to, precision, sums ? &*sums : nullptr);
}

Result<int> act(const Options& options) {
  const bool prunes = !options.prune.empty(), rounds = !options.precision.empty();
  if (!prunes && !rounds) return Error{Code::usage, "nothing to do", "give --prune heads=25%,ffn=40% or --precision int8, or both"};
  compress::PruneShares shares;
  if (prunes) {
    FATHOM_TRY(shares, parse_shares(options.prune));
  }
  FATHOM_TRY(const Precision precision, parse_precision(rounds ? options.precision : "fp32"));
  FATHOM_TRY(const auto runtime, engine::Runtime::create(options.runtime));
  FATHOM_TRY(const auto bundle, Bundle::open(options.bundle));
  FATHOM_TRY(const auto before, Model::load(bundle));
  const Json& fathom = bundle->fathom();
  std::optional<eval::EvalData> data;  // read first: without it nothing is written
  if (before->has_decision() || !options.data.empty()) {
    FATHOM_TRY(data, eval::read_eval_data(fathom, options.data, "bundle '" + options.bundle.string() + "': fathom.json"));
  }
  if (prunes && !data) return Error{Code::usage, "heads and neurons are chosen by what they do on data, and this bundle knows none", "give --data FOLDER"};
  FATHOM_TRY_VOID(compress::check_target(options.bundle, options.out));
  Stage stage(options.out);
  std::optional<eval::Encoded> inputs;  // of the calibrate split: all that steps choose among, or those that are compared
  if (data) {
    const std::size_t most = prunes || precision == Precision::int8 ? 0 : kMostRows;
    FATHOM_TRY(inputs, eval::encode_split(data->dataset, data::Part::calibrate, before->spec(), options.bundle, most));
  }
  if (prunes) FATHOM_TRY_VOID(prune(options.bundle, stage.next(), shares, *inputs, *runtime));
  if (rounds) {
    const fs::path from = prunes ? stage.last() : options.bundle;
    FATHOM_TRY_VOID(to_precision(from, stage.next(), precision, inputs, *runtime));
  }
  if (before->has_decision()) {
    Progress progress("calibrate", static_cast<long>(data->dataset.part(data::Part::calibrate).size()));
    FATHOM_TRY_VOID(eval::calibrate_bundle(stage.last(), data->dataset, *runtime, eval::recorded_budget(fathom).value_or(kDefaultBudget),
                                           [&](std::size_t done, std::size_t) { progress.update(static_cast<long>(done)); }));
  }
  FATHOM_TRY_VOID(stage.finish());
  const std::string name = std::string(prunes ? "pruned " : "") + precision_name(precision);
  std::vector<Side> sides;
  for (const auto& [side_name, folder] : {std::pair(std::string(precision_name(Precision::fp32)), options.bundle), std::pair(name, options.out)}) {
    FATHOM_TRY(auto side, open_side(side_name, folder, *runtime));
    sides.push_back(std::move(side));
  }
  Json report = {{"bundle", options.out.string()}, {"precision", precision_name(precision)}, {"systems", Json::array()}, {"bundles", Json::array()}};
  for (const Side& side : sides) report["bundles"].push_back({{"name", side.name}, {"file_mb", side.file_mb}, {"weights_mb", side.weights_mb}});
  if (inputs) {
    std::vector<std::size_t> first(std::min(inputs->count, kMostRows));
    std::iota(first.begin(), first.end(), std::size_t{0});
    report["inputs"] = first.size();
    FATHOM_TRY(report["systems"], compare(sides, eval::select(*inputs, first), *runtime, options.seconds));
  }
  if (options.json) std::printf("%s\n", report.dump(2).c_str());
  else print(report);
  std::string next = "wrote " + options.out.string();
  if (fathom.contains("certificate")) next += "; the certificate spoke of the weights before: fathom certify " + options.out.string();
  else if (data) next += "; compared on the calibrate split; next: fathom eval " + options.out.string() + " --base " + options.bundle.string();
  say(next);
  return 0;
}

}  // namespace

void add_compress(Frame& frame) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = frame.verb("compress", "Make a bundle smaller and faster, and say what that changes");
  verb->add_option("bundle", options->bundle, "Bundle folder")->required();
  verb->add_option("-o,--out", options->out, "Bundle folder to make")->required();
  verb->add_option("--prune", options->prune, "Take heads and neurons out of every layer, those that its outputs need least: heads=25%,ffn=40%, or one of them")->type_name("SHARES");
  verb->add_option("--precision", options->precision, "Numbers of the layers: bf16 or int8")->check(CLI::IsMember({"bf16", "int8"}));
  verb->add_option("--data", options->data, "Data folder to choose thresholds on and to compare with; default: the one the bundle was fitted on");
  verb->add_option("--timing-seconds", options->seconds, "About how long times are measured")->check(between(1, 600, "[1, 600]"))->capture_default_str();
  add_runtime_flags(verb, options->runtime);
  add_json_flag(verb, options->json);
  frame.on(verb, [options] { return act(*options); });
}

}  // namespace fathom::cli
