#include "cli/compress_search.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>
#include <vector>

#include "base/log.h"
#include "bundle/bundle.h"
#include "cli/steps.h"
#include "data/sample.h"
#include "eval/peak.h"
#include "eval/scratch_folder.h"
#include "eval/timing.h"
#include "eval/trace.h"
#include "model/model.h"

namespace fathom::cli {
namespace {

constexpr std::size_t kTimedRows = 96, kPeakRows = 16;
constexpr double kTimedSeconds = 3;
constexpr int kWorseInARow = 2;

// From the mildest to the strongest. What a model cannot do (words of pictures) or has too few parts for is left out.
std::vector<CompressWords> ladder(const ModelSpec& spec) {
  const std::string words = spec.modality == Modality::text ? "50%" : "";
  const auto step = [&](const std::string& width, const std::string& prune, const std::string& fold,
                        const std::string& precision) {
    return CompressWords{
        .preset = "", .word_width = width, .prune = prune, .fold = fold, .tune = "", .precision = precision};
  };
  std::vector<CompressWords> out = {step("", "", "", "bf16"), step("", "", "", "int8"), step("", "ffn=25%", "", "int8"),
                                    step("", "ffn=50%", "", "int8")};
  if (!words.empty()) out.push_back(step(words, "ffn=50%", "", "int8"));
  out.push_back(step(words, "ffn=50%", "98%", "int8"));
  if (spec.heads >= 8) out.push_back(step(words, "heads=25%,ffn=50%", "", "int8"));
  out.push_back(step(words, "ffn=75%", "", "int8"));
  if (spec.heads >= 8) out.push_back(step(words, "heads=25%,ffn=75%", "", "int8"));
  out.push_back(step(words, "ffn=75%", "95%", "int8"));
  if (spec.heads >= 8) out.push_back(step(words, "heads=50%,ffn=75%", "90%", "int8"));
  return out;
}

std::string flags_of(const CompressWords& words) {
  std::string text;
  for (const auto& [flag, value] : {std::pair("--word-width ", words.word_width), std::pair("--prune ", words.prune),
                                    std::pair("--fold ", words.fold), std::pair("--precision ", words.precision)})
    if (!value.empty()) text += (text.empty() ? "" : " ") + std::string(flag) + value;
  return text;
}

struct Tried {
  std::string flags, error;  // error: why it could not be made
  double agreement = 0, ms = 0, mb = 0, file_mb = 0;
  Json json() const {
    if (!error.empty()) return {{"flags", flags}, {"error", error}};
    return {{"flags", flags}, {"agreement", agreement}, {"ms", ms}, {"peak_mb", mb}, {"file_mb", file_mb}};
  }
};

class Trail {
 public:
  // What an earlier search of the same bundle, data and machine measured.
  static Result<Trail> open(const fs::path& path, Json of) {
    Trail trail(path, std::move(of));
    if (!fs::exists(path)) return trail;
    FATHOM_TRY(const std::string text, read_file(path));
    FATHOM_TRY(const Json json, parse_json(text, path.string()));
    const Error other{Code::usage,
                      "'" + path.string() + "' is no trail of this bundle, data, tier and number of threads",
                      "choose another --trail, or delete it"};
    if (!json.is_object() || json.value("of", Json()) != trail.of_ || !json.contains("tried") ||
        !json["tried"].is_array())
      return other;
    for (const Json& entry : json["tried"]) {
      if (!entry.is_object() || !entry.contains("flags") || !entry["flags"].is_string()) return other;
      Tried tried{entry["flags"].get<std::string>(), "", 0, 0, 0, 0};
      if (entry.contains("error")) {
        FATHOM_TRY(tried.error, json_string(entry, "error", path.string()));
      } else {
        for (const auto& [key, to] : {std::pair("agreement", &tried.agreement), std::pair("ms", &tried.ms),
                                      std::pair("peak_mb", &tried.mb), std::pair("file_mb", &tried.file_mb)}) {
          if (!entry.contains(key) || !entry[key].is_number()) return other;
          *to = entry[key].get<double>();
        }
      }
      trail.all_.push_back(tried);
    }
    return trail;
  }
  std::optional<Tried> find(const std::string& flags) const {
    for (const Tried& tried : all_)
      if (tried.flags == flags) return tried;
    return std::nullopt;
  }
  Status add(const Tried& tried) {
    all_.push_back(tried);
    Json json = {{"of", of_}, {"tried", Json::array()}};
    for (const Tried& one : all_) json["tried"].push_back(one.json());
    return write_file_atomic(path_, json.dump(2) + "\n");
  }

 private:
  Trail(fs::path path, Json of) : path_(std::move(path)), of_(std::move(of)) {}
  fs::path path_;
  Json of_;
  std::vector<Tried> all_;
};

// What every candidate is measured on and against.
struct Bench {
  const eval::Encoded& inputs;
  eval::Encoded timed;
  fs::path peak_inputs;
  std::vector<std::int32_t> labels;  // of full depth in fp32
};

Status measure(const Search& search, const fs::path& folder, const Bench& bench, engine::Runtime& runtime,
               Tried& tried) {
  FATHOM_TRY(const auto bundle, Bundle::open(folder));
  FATHOM_TRY(const auto model, Model::load(bundle));
  FATHOM_TRY(const auto plan, engine::Plan::compile(model, runtime));
  engine::RunOptions run;
  run.mode = plan->decides() ? engine::Mode::adaptive : engine::Mode::full_depth;
  FATHOM_TRY(const auto answers, eval::run_inputs(plan, runtime, bench.inputs, run));
  double same = 0;
  for (std::size_t i = 0; i < answers.size(); ++i) same += answers[i].label == bench.labels[i];
  tried.agreement = same / static_cast<double>(answers.size());
  std::vector<eval::TimedRun> timed = {{"candidate", plan, &bench.timed, run, {}, 0, 0}};
  eval::TimingOptions timing;
  timing.seconds = kTimedSeconds;
  timing.batch32 = false;
  FATHOM_TRY(timing, eval::fit_to_budget(plan, runtime, bench.timed, {1, 0}, timing));
  FATHOM_TRY_VOID(eval::time_runs(timed, runtime, timing));
  tried.ms = timed[0].ms_batch1;
  const eval::PeakRun peak{folder, run.mode, 0, -1, -1, 0, search.runtime.tier, runtime.pool().threads(), 0};
  FATHOM_TRY(tried.mb, eval::measure_peak(own_program(), peak, bench.peak_inputs));
  for (const auto& [file, entry] : bundle->fathom()["files"].items())
    tried.file_mb += entry["bytes"].get<double>() / 1e6;
  return {};
}

std::string shown(const Tried& tried) {
  char text[160];
  std::snprintf(text, sizeof text, ": %.2f %% of answers kept, %.2f ms, peak %.1f MB, files %.1f MB",
                100 * tried.agreement, tried.ms, tried.mb, tried.file_mb);
  return tried.flags + (tried.error.empty() ? text : ": " + tried.error);
}

}  // namespace

Result<policy::Budget> read_target(const std::string& text) {
  FATHOM_TRY(const policy::Budget budget, policy::parse_budget(text));
  if (budget.kind != policy::Budget::Kind::ms && budget.kind != policy::Budget::Kind::mb)
    return Error{Code::usage, "--target '" + text + "' is neither milliseconds nor megabytes",
                 "give ms=5 (an input, alone) or mb=20 (peak memory)"};
  return budget;
}

fs::path trail_of(const fs::path& out) {
  return (out.has_filename() ? out : out.parent_path()).string() + ".trail.json";
}

Result<CompressWords> search(const Search& search, const eval::Encoded& inputs, engine::Runtime& runtime) {
  FATHOM_TRY(const auto bundle, Bundle::open(search.bundle));
  FATHOM_TRY(const auto model, Model::load(bundle));
  if (inputs.count == 0)
    return Error{Code::bad_input, "the tune split is empty: candidates cannot be compared",
                 "give --data with more rows"};
  FATHOM_TRY(Trail trail, Trail::open(search.trail, {{"bundle", bundle->checksum()},
                                                     {"data", search.data},
                                                     {"thresholds_on", data::part_name(data::Part::tune)},
                                                     {"tier", tier_name(runtime.kernels().tier)},
                                                     {"threads", runtime.pool().threads()}}));
  FATHOM_TRY(const eval::ScratchFolder scratch, eval::ScratchFolder::make());
  const fs::path file = scratch / "inputs.bin";
  FATHOM_TRY_VOID(eval::write_inputs(file, eval::select(inputs, data::draw_rows(inputs.count, kPeakRows))));
  Bench bench{inputs, eval::select(inputs, data::draw_rows(inputs.count, kTimedRows)), file, {}};
  const bool ms = search.target.kind == policy::Budget::Kind::ms;
  std::optional<Tried> best, nearest;
  CompressWords chosen;
  int worse = 0;
  const std::vector<CompressWords> candidates = ladder(model->spec());
  for (std::size_t i = 0; i < candidates.size() && worse < kWorseInARow; ++i) {
    Tried tried{flags_of(candidates[i]), "", 0, 0, 0, 0};
    const auto before = trail.find(tried.flags);
    if (before) {
      tried = *before;
    } else {
      if (bench.labels.empty()) {
        FATHOM_TRY(const auto plan, engine::Plan::compile(model, runtime));
        engine::RunOptions full;
        full.mode = engine::Mode::full_depth;
        FATHOM_TRY(const auto answers, eval::run_inputs(plan, runtime, inputs, full));
        for (const auto& answer : answers) bench.labels.push_back(answer.label);
      }
      Stage stage(search.out);
      FATHOM_TRY(const CompressChoices choices, read_choices(candidates[i]));
      if (const Status made = search.make(stage, choices); !made) {
        if (made.error().code != Code::usage) return made.error();  // usage: too few parts for this step
        tried.error = made.error().message;
      } else {
        FATHOM_TRY_VOID(measure(search, stage.last(), bench, runtime, tried));
      }
      FATHOM_TRY_VOID(trail.add(tried));
    }
    say("tried " + std::to_string(i + 1) + " of " + std::to_string(candidates.size()) +
        (before ? " (from the trail) " : " ") + shown(tried));
    if (!tried.error.empty()) continue;
    const auto value = [&](const Tried& one) { return ms ? one.ms : one.mb; };
    if (!nearest || value(tried) < value(*nearest)) nearest = tried;
    if (value(tried) > search.target.value) continue;
    worse = best && tried.agreement <= best->agreement ? worse + 1 : 0;
    if (best && tried.agreement <= best->agreement) continue;
    best = tried;
    chosen = candidates[i];
  }
  if (!best)
    return Error{Code::limit,
                 std::string("nothing that was tried meets ") + (ms ? "ms=" : "mb=") +
                     policy::shown(search.target.value) + (nearest ? "; the nearest is " + shown(*nearest) : ""),
                 "ask for less, or take a smaller model (fathom fit --from CHECKPOINT --keep-layers 0,2,4)"};
  say("taken: " + shown(*best) + "; the trail is " + search.trail.string());
  return chosen;
}

}  // namespace fathom::cli
