#include "cli/compress_steps.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <memory>

#include "base/log.h"
#include "bundle/bundle.h"
#include "cli/steps.h"
#include "cli/words.h"
#include "compress/narrow_words.h"
#include "compress/to_precision.h"
#include "compress/zero_weights.h"
#include "data/sample.h"
#include "eval/map_inputs.h"

namespace fathom::cli {
namespace {

constexpr std::size_t kMeanRows = 256;     // of the train split, that biases are corrected on
constexpr std::size_t kMomentRows = 1024;  // of it, that heads, neurons and directions are chosen on

std::string percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %%", 100 * share);
  return text;
}

std::string zeros_text(double share, const std::string& lost) {
  return percent(share) + " of the layers' weights are zero" + lost +
         ". Zeros are stored and multiplied like any number: neither memory nor time changes";
}

struct Opened {
  std::shared_ptr<const Model> model;
  std::shared_ptr<const engine::Plan> plan;
};

Result<Opened> open(const fs::path& folder, engine::Runtime& runtime) {
  Opened out;
  FATHOM_TRY(const auto bundle, Bundle::open(folder));
  FATHOM_TRY(out.model, Model::load(bundle));
  FATHOM_TRY(out.plan, engine::Plan::compile(out.model, runtime));
  return out;
}

// Moments of the maps of one layer after another, as many layers in one pass over the inputs as a quarter of a gigabyte
// holds.
class LayerMoments {
 public:
  LayerMoments(const Opened& opened, engine::Runtime& runtime, const eval::Encoded& inputs, const WantedMaps& maps,
               const char* what)
      : opened_(opened),
        runtime_(runtime),
        inputs_(inputs),
        maps_(maps),
        layers_(opened.model->spec().layers),
        progress_(what, layers_) {
    constexpr std::size_t kMostBytes = std::size_t{256} << 20;
    std::size_t bytes = 1;
    const auto all = layer_maps(opened.model->spec());
    for (std::size_t i = 0; i < all.size(); ++i)
      if (maps[i]) bytes += static_cast<std::size_t>(all[i].in) * static_cast<std::size_t>(all[i].in) * sizeof(float);
    at_once_ = static_cast<int>(std::max<std::size_t>(1, kMostBytes / bytes));
  }
  Result<InputMoments> operator()(int layer) {
    progress_.update(layer);
    if (layer % at_once_ == 0) {
      some_.clear();
      FATHOM_TRY(some_, eval::input_moments(opened_.plan, runtime_, inputs_, layer, std::min(at_once_, layers_ - layer),
                                            maps_));
    }
    return std::move(some_[static_cast<std::size_t>(layer % at_once_)]);
  }
  void done() { progress_.update(layers_); }

 private:
  const Opened& opened_;
  engine::Runtime& runtime_;
  const eval::Encoded& inputs_;
  WantedMaps maps_;
  int layers_, at_once_ = 1;
  std::vector<InputMoments> some_;
  Progress progress_;
};

class Steps {
 public:
  Steps(fs::path bundle, Stage& stage, const std::optional<eval::Encoded>& inputs, engine::Runtime& runtime)
      : from_(std::move(bundle)), stage_(stage), inputs_(inputs), runtime_(runtime) {
    if (inputs) some_ = eval::select(*inputs, data::draw_rows(inputs->count, kMomentRows));
  }

  Result<Json> narrow_words(double width) {
    FATHOM_TRY(const auto bundle, Bundle::open(from_));
    FATHOM_TRY(const auto model, Model::load(bundle));
    const ModelSpec& spec = model->spec();
    std::vector<double> uses;
    if (inputs_ && spec.modality == Modality::text) {
      fitted_.emplace_back("words");
      uses.resize(static_cast<std::size_t>(spec.vocab));
      for (const std::int32_t id : inputs_->ids) ++uses[static_cast<std::size_t>(id)];
    }
    const int wanted = static_cast<int>(width < 1 ? std::lround(width * spec.hidden) : std::lround(width));
    const fs::path to = stage_.next();
    FATHOM_TRY(const auto report, compress::narrow_words(from_, to, wanted, uses));
    from_ = to;
    say("word rows of " + std::to_string(report.before) + " -> " + std::to_string(report.after) +
        " values and one projection; " + percent(report.lost) + " of their variance is lost");
    return Json{{"width", {report.before, report.after}}, {"lost", report.lost}};
  }

  // What moments were taken for is fitted on them.
  std::vector<std::string> fitted() const { return fitted_; }

  Result<Json> prune(const compress::PruneShares& shares) {
    fitted_.emplace_back("moments");
    FATHOM_TRY(const Opened opened, open(from_, runtime_));
    LayerMoments moments(opened, runtime_, *some_, {false, true, false, true}, "prune, layer by layer");
    const fs::path to = stage_.next();
    FATHOM_TRY(const auto report, compress::prune(from_, to, shares, std::ref(moments)));
    moments.done();
    from_ = to;
    double heads_lost = 0, ffn_lost = 0;
    for (const auto& layer : report.layers) {
      heads_lost += layer.heads_lost / static_cast<double>(report.layers.size());
      ffn_lost += layer.ffn_lost / static_cast<double>(report.layers.size());
    }
    const ModelSpec& before = opened.model->spec();
    say("pruned on " + std::to_string(some_->count) + " inputs of the train split: " + std::to_string(before.heads) +
        " -> " + std::to_string(report.heads) + " heads, " + std::to_string(before.ffn) + " -> " +
        std::to_string(report.ffn) + " neurons a layer; of what attention and feed-forward blocks add, " +
        percent(heads_lost) + " and " + percent(ffn_lost) + " is lost on average");
    return Json{{"heads", {before.heads, report.heads}},
                {"ffn", {before.ffn, report.ffn}},
                {"heads_lost", heads_lost},
                {"ffn_lost", ffn_lost}};
  }

  Result<Json> zero_weights(const compress::ZeroChoice& choice) {
    fitted_.emplace_back("moments");
    FATHOM_TRY(const Opened opened, open(from_, runtime_));
    LayerMoments moments(opened, runtime_, *some_, {true, true, true, true}, "zeros, layer by layer");
    const fs::path to = stage_.next();
    FATHOM_TRY(const auto report, compress::zero_weights(from_, to, choice, std::ref(moments)));
    moments.done();
    from_ = to;
    std::string lost;
    Json told = Json::object();
    for (std::size_t i = 0; i < report.lost.size(); ++i) {
      lost += (i > 0 ? ", " : "") + std::string(compress::kMapNames[i]) + " " + percent(report.lost[i]);
      told[compress::kMapNames[i]] = report.lost[i];
    }
    say(zeros_text(report.zeros, "; of the outputs' variance is lost on average: " + lost));
    return Json{{"zeros", report.zeros}, {"lost", told}};
  }

  Result<Json> fold(const compress::FoldChoice& choice) {
    const fs::path to = stage_.next();
    compress::FoldReport report;
    if (choice.by_weights) {
      FATHOM_TRY(report, compress::fold(from_, to, choice, {}));
    } else {
      fitted_.emplace_back("moments");
      FATHOM_TRY(const Opened opened, open(from_, runtime_));
      LayerMoments moments(opened, runtime_, *some_, choice.maps(), "fold, layer by layer");
      FATHOM_TRY(report, compress::fold(from_, to, choice, std::ref(moments)));
      moments.done();
    }
    from_ = to;
    Json maps = Json::array();
    for (const auto& map : report.maps) {
      std::string text = std::string(map.name) + " " + std::to_string(map.out) + " x " + std::to_string(map.in) + ": ";
      if (map.rank > 0)
        text += "rank " + std::to_string(map.rank) + ", " + percent(map.lost) +
                (choice.by_weights ? " of its squares" : " of its outputs' variance") + " is lost on average";
      else if (map.for_energy > 0)
        text += "stays, it would need rank " + std::to_string(map.for_energy);
      else
        text += "stays";
      say("folded " + text + " (a rank pays below " + std::to_string(map.pays_below) + ")");
      maps.push_back({{"map", map.name},
                      {"in", map.in},
                      {"out", map.out},
                      {"pays_below", map.pays_below},
                      {"for_energy", map.for_energy},
                      {"rank", map.rank},
                      {"lost", map.lost}});
    }
    return maps;
  }

  // fathom-train, on what the steps so far wrote.
  Result<Json> tune(const CompressChoices& choices, const fs::path& teacher, const fs::path& data) {
    if (from_ == teacher) {  // no step made a bundle that training could write to
      from_ = stage_.next();
      FATHOM_TRY_VOID(copy_bundle(teacher, from_));
    }
    std::vector<std::string> words = {
        "--tune", "like",        "--teacher", teacher.string(),          "--out",   from_.string(),
        "--data", data.string(), "--epochs",  Json(choices.tune).dump(), "--state", stage_.training().string()};
    if (choices.zeroes() && !choices.zeroes_at_once()) {
      words.insert(words.end(), {"--zeros", choices.zeros.two_of_four ? "2:4" : Json(choices.zeros.share).dump()});
      if (choices.zeroing == Zeroing::movement) words.emplace_back("--by-movement");
    }
    if (choices.trains_int8()) words.insert(words.end(), {"--int8-levels", std::to_string(runtime_.kernels().levels)});
    FATHOM_TRY(const int code, train(words, 0, runtime_.pool().threads()));
    constexpr std::array kCodes = {Code::io, Code::usage, Code::bad_input, Code::limit,
                                   Code::quality};  // of exit codes 1 to 5
    if (code == 130)
      return Error{Code::cancelled, "stopped while training; nothing was written",
                   "the same command goes on from the last state"};
    if (code != 0)
      return Error{code >= 1 && code <= 5 ? kCodes[static_cast<std::size_t>(code - 1)] : Code::internal,
                   "fathom-train ended with exit code " + std::to_string(code) + "; nothing was written",
                   "its own message stands above"};
    FATHOM_TRY(const auto bundle, Bundle::open(from_));
    const Json& did = bundle->fathom()["provenance"]["compressed"];
    if (did.contains("zeroed") && !choices.zeroes_at_once()) say(zeros_text(did["zeroed"]["zeros"].get<double>(), ""));
    return did["tuned"];
  }

  Status to_precision(Precision precision) {
    std::optional<InputSums> sums;
    FATHOM_TRY(const auto bundle, Bundle::open(from_));
    if (precision == Precision::int8 &&
        bundle->fathom().contains(Json::json_pointer("/provenance/compressed/tuned/int8_levels"))) {
      say("biases stay as they were trained: with the rounding of int8");
    } else if (inputs_ && precision == Precision::int8) {
      FATHOM_TRY(const auto model, Model::load(bundle));
      if (model->precision() == Precision::fp32) {  // else the transform says what is wrong
        FATHOM_TRY(const auto plan, engine::Plan::compile(model, runtime_));
        FATHOM_TRY(
            sums, eval::input_sums(plan, runtime_, eval::select(*inputs_, data::draw_rows(inputs_->count, kMeanRows))));
        fitted_.emplace_back("biases");
        say("biases corrected for what rounding changes on average, on " +
            std::to_string(std::min(inputs_->count, kMeanRows)) + " inputs of the train split");
      }
    } else if (precision == Precision::int8) {
      say("no data known to correct biases on: with --data FOLDER answers come closer to those before");
    }
    const fs::path to = stage_.next();
    FATHOM_TRY_VOID(compress::to_precision(from_, to, precision, sums ? &*sums : nullptr));
    from_ = to;
    return {};
  }

 private:
  fs::path from_;
  Stage& stage_;
  const std::optional<eval::Encoded>& inputs_;
  std::optional<eval::Encoded> some_;
  engine::Runtime& runtime_;
  std::vector<std::string> fitted_;
};

}  // namespace

Result<StepsDone> run_steps(const fs::path& bundle, Stage& stage, const CompressChoices& choices, const StepsData& data,
                            engine::Runtime& runtime) {
  Steps steps(bundle, stage, data.inputs, runtime);
  StepsDone done;
  Json& did = done.report;
  if (choices.narrows()) {
    FATHOM_TRY(did["words"], steps.narrow_words(choices.word_width));
  }
  if (choices.prunes()) {
    FATHOM_TRY(did["prune"], steps.prune(choices.prune));
  }
  if (choices.zeroes_at_once()) {
    FATHOM_TRY(did["zeros"], steps.zero_weights(choices.zeros));
  }
  if (choices.folds()) {
    FATHOM_TRY(did["fold"], steps.fold(choices.fold));
  }
  if (choices.tunes()) {
    FATHOM_TRY(did["tune"], steps.tune(choices, bundle, data.folder));
  }
  if (choices.rounds()) FATHOM_TRY_VOID(steps.to_precision(choices.precision));
  done.fitted = steps.fitted();
  return done;
}

}  // namespace fathom::cli
