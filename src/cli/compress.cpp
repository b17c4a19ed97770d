// `fathom compress BUNDLE [--word-width 50%] [--prune heads=25%,ffn=40%] [--fold 90%] [--tune 3] [--precision
// bf16|int8] -o OUT`: the steps that are named, in that order (cli/compress_steps.h); thresholds chosen anew for their
// answers, and what that changed: size, memory, time, agreement, measured through the engine on the calibrate split.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>

#include "base/log.h"
#include "bundle/bundle.h"
#include "cli/compress_search.h"
#include "cli/compress_stage.h"
#include "cli/compress_steps.h"
#include "cli/flags.h"
#include "cli/steps.h"
#include "cli/verbs.h"
#include "cli/words.h"
#include "compress/rewrite.h"
#include "data/sample.h"
#include "data/split_use.h"
#include "eval/calibrate_bundle.h"
#include "eval/recorded_data.h"
#include "eval/timing.h"
#include "eval/trace.h"

namespace fathom::cli {
namespace {

constexpr std::size_t kMostRows = 1000;   // compared
constexpr std::size_t kFitRows = 8000;    // of train, that word statistics, moments and biases are fitted on
constexpr std::size_t kTimedRows = 200;   // of them, that times are taken on
constexpr double kDefaultBudget = 0.005;  // as fit's --max-disagreement

struct Options {
  fs::path bundle, out, data, trail;
  CompressWords words;
  std::string target;
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
  for (const auto& [file, entry] : bundle->fathom()["files"].items())
    side.file_mb += entry["bytes"].get<double>() / 1e6;
  FATHOM_TRY(const auto model, Model::load(bundle));
  FATHOM_TRY(side.plan, engine::Plan::compile(model, runtime));
  side.weights_mb = static_cast<double>(side.plan->weight_bytes(side.plan->spec().layers)) / 1e6;
  return side;
}

// Rows "fp32 full_depth", "fp32 fathom", "int8 full_depth", ...: agreement is with the first.
Result<Json> compare(const std::vector<Side>& sides, const eval::Encoded& inputs, engine::Runtime& runtime,
                     double seconds) {
  Json rows = Json::array();
  const eval::Encoded some = eval::select(inputs, data::draw_rows(inputs.count, kTimedRows));
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
      rows.push_back({{"name", name},
                      {"bundle", side.name},
                      {"adaptive", adaptive},
                      {"agreement", agree / n},
                      {"macs", macs / n},
                      {"mean_depth", depth / n},
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
  if (report.contains("inputs"))
    std::printf("compared on %zu inputs of the %s split\n", report["inputs"].get<std::size_t>(),
                report["inputs_of"].get<std::string>().c_str());
  std::printf("%-24s %10s %10s %9s %8s %10s %10s\n", "", "agreement", "accuracy", "MACs", "depth", "ms, b. 1",
              "ms, b. 32");
  for (const Json& row : report["systems"])
    std::printf("%-24s %8.2f %% %10s %9s %8.2f %10.3f %10.3f\n", row["name"].get<std::string>().c_str(),
                100 * row["agreement"].get<double>(),
                row["accuracy"].is_null()
                    ? "-"
                    : (Json(std::round(1e4 * row["accuracy"].get<double>()) / 100).dump() + " %").c_str(),
                macs_text(row["macs"].get<double>()).c_str(), row["mean_depth"].get<double>(),
                row["ms_batch1"].get<double>(), row["ms_batch32"].get<double>());
  for (const Json& side : report["bundles"])
    std::printf("%-24s files %.1f MB, packed weights %.1f MB\n", side["name"].get<std::string>().c_str(),
                side["file_mb"].get<double>(), side["weights_mb"].get<double>());
}

std::string name_of(const CompressChoices& choices) {
  return std::string(choices.smaller()  ? "smaller "
                     : choices.zeroes() ? "with zeros, "
                                        : "") +
         precision_name(choices.precision);
}

// Encodes a split once for all steps and candidates: all of it, for they choose among its rows.
struct Job {
  const Options& options;
  const Json& fathom;
  const ModelSpec& spec;
  bool decides;
  const std::optional<eval::EvalData>& data;
  engine::Runtime& runtime;
  std::optional<eval::Encoded> inputs;  // of the train split: what calibrate proves must not be fitted on it
  bool searched = false;                // the steps were chosen on the tune split

  Status encode() {
    if (!data || inputs) return {};
    FATHOM_TRY(inputs, eval::encode_split(data->dataset, data::Part::train, spec, options.bundle, kFitRows));
    return {};
  }
  // Into the bundle that the steps made: what its source was fitted on, what training added, what was fitted here.
  Status record(const fs::path& made, const std::vector<std::string>& fitted) const {
    FATHOM_TRY(const auto bundle, Bundle::open(made));
    Json now = bundle->fathom(), use = data::split_use_of(fathom);
    data::carry_split_use(use, now.value("split_use", Json()));
    if (data) data::note_split_use(use, data->dataset, data::Part::train, fitted);
    if (searched) data::note_split_use(use, data->dataset, data::Part::tune, {"search"});
    if (use.empty()) return {};
    now["split_use"] = use;
    return update_bundle(made, now);
  }
  // The steps, then thresholds for the answers that come out of them: on calibrate, or of a candidate that others are
  // compared with on tune, there.
  Result<Json> make(Stage& stage, const CompressChoices& choices, data::Part part = data::Part::calibrate) {
    FATHOM_TRY_VOID(encode());
    FATHOM_TRY(StepsDone done,
               run_steps(options.bundle, stage, choices, {inputs, data ? data->folder : fs::path()}, runtime));
    FATHOM_TRY_VOID(record(stage.last(), done.fitted));
    if (!decides) return std::move(done.report);
    Progress progress("calibrate", static_cast<long>(data->dataset.part(part).size()));
    FATHOM_TRY_VOID(eval::calibrate_bundle(
        stage.last(), data->dataset, runtime, eval::recorded_budget(fathom).value_or(kDefaultBudget),
        [&](std::size_t rows, std::size_t) { progress.update(static_cast<long>(rows)); }, false, part));
    return std::move(done.report);
  }
};

Result<CompressWords> find_words(const Options& options, const policy::Budget& target, Job& job) {
  if (!job.data)
    return Error{Code::usage, "--target compares candidates on data, and this bundle knows none", "give --data FOLDER"};
  FATHOM_TRY(const auto tune,
             eval::encode_split(job.data->dataset, data::Part::tune, job.spec, options.bundle, kMostRows));
  const auto make = [&job](Stage& stage, const CompressChoices& choices) -> Status {
    FATHOM_TRY_VOID(job.make(stage, choices, data::Part::tune));
    return {};
  };
  job.searched = true;
  return search({options.bundle, options.out, options.trail.empty() ? trail_of(options.out) : options.trail, target,
                 job.data->dataset.fingerprint, options.runtime, make},
                tune, job.runtime);
}

// What training would refuse, before anything is written for it.
Status check_trainable(const fs::path& bundle, const Model& model, const CompressChoices& choices) {
  FATHOM_TRY_VOID(need_train_program());
  const std::string where = "bundle '" + bundle.string() + "'", made_from = "compress the bundle it was made from";
  if (model.precision() != Precision::fp32)
    return Error{Code::unsupported,
                 where + " is compressed already: its layers are in " + precision_name(model.precision()), made_from};
  if (choices.zeroes() && model.spec().ranks.any())
    return Error{Code::unsupported, where + " has folded maps: zeros in their factors are not looked for", made_from};
  return {};
}

Result<int> act(const Options& options) {
  CompressChoices choices;
  std::optional<policy::Budget> target;
  if (options.target.empty()) {
    FATHOM_TRY(choices, read_choices(options.words));
  } else {
    FATHOM_TRY(target, read_target(options.target));
    if (!options.words.tune.empty()) {
      FATHOM_TRY(choices.tune, read_epochs(options.words.tune));
    }
  }
  FATHOM_TRY(const auto runtime, engine::Runtime::create(options.runtime));
  FATHOM_TRY(const auto bundle, Bundle::open(options.bundle));
  FATHOM_TRY(const auto before, Model::load(bundle));
  const Json& fathom = bundle->fathom();
  std::optional<eval::EvalData> data;  // read first: without it nothing is written
  if (before->has_decision() || !options.data.empty()) {
    FATHOM_TRY(data,
               eval::read_eval_data(fathom, options.data, "bundle '" + options.bundle.string() + "': fathom.json"));
  }
  if (choices.tunes()) FATHOM_TRY_VOID(check_trainable(options.bundle, *before, choices));
  if (choices.tunes() && !data)
    return Error{Code::usage, "--tune trains on data, and this bundle knows none", "give --data FOLDER"};
  if (choices.reads_data() && !data)
    return Error{Code::usage, "what goes is chosen by what it does on data, and this bundle knows none",
                 "give --data FOLDER (or --fold ...,weights)"};
  FATHOM_TRY_VOID(compress::check_target(options.bundle, options.out));
  Job job{options, fathom, before->spec(), before->has_decision(), data, *runtime, std::nullopt};
  if (target) {
    const double epochs = choices.tune;
    FATHOM_TRY(const CompressWords words, find_words(options, *target, job));
    FATHOM_TRY(choices, read_choices(words));
    if (choices.trainable())
      choices.tune = epochs;
    else if (epochs > 0)
      say("what was taken only rounds numbers to bf16: there is nothing to train");
  }
  Stage stage(options.out);
  FATHOM_TRY(const Json steps, job.make(stage, choices));
  FATHOM_TRY_VOID(stage.finish());
  const std::string name = name_of(choices);
  std::vector<Side> sides;
  for (const auto& [side_name, folder] :
       {std::pair(std::string(precision_name(Precision::fp32)), options.bundle), std::pair(name, options.out)}) {
    FATHOM_TRY(auto side, open_side(side_name, folder, *runtime));
    sides.push_back(std::move(side));
  }
  Json report = {{"bundle", options.out.string()},
                 {"precision", precision_name(choices.precision)},
                 {"steps", steps},
                 {"systems", Json::array()},
                 {"bundles", Json::array()}};
  for (const Side& side : sides)
    report["bundles"].push_back({{"name", side.name}, {"file_mb", side.file_mb}, {"weights_mb", side.weights_mb}});
  if (data) {
    FATHOM_TRY(const auto inputs,
               eval::encode_split(data->dataset, data::Part::calibrate, before->spec(), options.bundle, kMostRows));
    report["inputs"] = inputs.count;
    report["inputs_of"] = data::part_name(data::Part::calibrate);
    FATHOM_TRY(report["systems"], compare(sides, inputs, *runtime, options.seconds));
  }
  if (options.json)
    std::printf("%s\n", report.dump(2).c_str());
  else
    print(report);
  if (target && choices.tunes() && target->kind == policy::Budget::Kind::ms && !report["systems"].empty())
    if (const double ms = report["systems"].back()["ms_batch1"].get<double>(); ms > target->value)
      say("after training an input takes " + Json(std::round(1e3 * ms) / 1e3).dump() + " ms, more than ms=" +
          policy::shown(target->value) + ": its thresholds were chosen anew, and it stops later");
  std::string next = "wrote " + options.out.string();
  if (fathom.contains("certificate"))
    next += "; the certificate spoke of the weights before: fathom certify " + options.out.string();
  else if (data)
    next += "; compared on the calibrate split; next: fathom eval " + options.out.string() + " --base " +
            options.bundle.string();
  say(next);
  return 0;
}

}  // namespace

void add_compress(Frame& frame) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = frame.verb("compress", "Make a bundle smaller and faster, and say what that changes");
  verb->add_option("bundle", options->bundle, "Bundle folder")->required();
  verb->add_option("-o,--out", options->out, "Bundle folder to make")->required();
  CompressWords& words = options->words;
  verb->add_option("--preset", words.preset,
                   "compact: --word-width 50% --prune ffn=50% --precision int8, each unless said otherwise")
      ->check(CLI::IsMember({"compact"}));
  verb->add_option("--word-width", words.word_width,
                   "Values of a word's row, or a share of what it has: narrower rows and one projection back")
      ->type_name("WIDTH");
  verb->add_option("--prune", words.prune,
                   "Take heads and neurons out of every layer, those that its outputs need least: heads=25%,ffn=40%, "
                   "or one of them; weights=50% or weights=2:4 sets "
                   "single weights to zero, which saves neither memory nor time here: at once, or with ,gradual (the "
                   "smallest) or ,movement (what "
                   "is zero goes on learning and may come back) more and more while --tune trains")
      ->type_name("SHARES");
  verb->add_option("--fold", words.fold,
                   "Maps of the layers in two factors of low rank: what their outputs keep (90%), or ranks "
                   "(qkv=96,o=0,f1=128,f2=128); "
                   ",shared: one first factor for all layers; ,weights: without looking at data")
      ->type_name("RANKS");
  verb->add_option(
          "--tune", words.tune,
          "Train what became smaller or is to be int8 to answer as the bundle does, so many passes over its training "
          "rows, without labels (runs fathom-train); int8 alone: "
          "with its rounding in the forward pass; else in fp32, before --precision; with --target: what was taken")
      ->type_name("EPOCHS");
  verb->add_option("--precision", words.precision, "Numbers of the layers: bf16 or int8")
      ->check(CLI::IsMember({"bf16", "int8"}));
  CLI::Option* target = verb->add_option("--target", options->target,
                                         "Try steps from the mildest on and take those that keep most answers within "
                                         "ms=5 (an input, alone) or mb=20 (peak memory)")
                            ->type_name("TARGET");
  for (const char* step : {"--preset", "--word-width", "--prune", "--fold", "--precision"})
    target->excludes(verb->get_option(step));
  verb->add_option("--trail", options->trail,
                   "What a search measured, and does not measure again; default: OUT.trail.json")
      ->needs(target);
  verb->add_option(
      "--data", options->data,
      "Data folder to choose thresholds on and to compare with; default: the one the bundle was fitted on");
  verb->add_option("--timing-seconds", options->seconds, "About how long times are measured")
      ->check(between(1, 600, "[1, 600]"))
      ->capture_default_str();
  add_runtime_flags(verb, options->runtime);
  add_json_flag(verb, options->json);
  frame.on(verb, [options] { return act(*options); });
}

}  // namespace fathom::cli
