#include "cli/fit_from.h"

#include "api/checkpoint.h"
#include "api/new_checkpoint.h"
#include "base/log.h"
#include "base/sha256.h"
#include "bundle/bundle.h"
#include "cli/steps.h"
#include "data/dataset_record.h"
#include "data/split_use.h"
#include "eval/frozen_states.h"
#include "model/model.h"

namespace fathom::cli {
namespace {

constexpr std::size_t kMostTrainRows =
    30000;  // more does not help the heads, and states take 2 * hidden floats a layer
constexpr std::size_t kMostTuneRows = 4000;

Status adopt_labels(ModelSpec& spec, const data::Dataset& dataset) {
  if (dataset.label_names.empty() || !unnamed_labels(spec.label_names) || dataset.label_names == spec.label_names)
    return {};
  if (dataset.label_names.size() != spec.label_names.size())
    return Error{Code::bad_input,
                 "the data has " + std::to_string(dataset.label_names.size()) + " classes, the checkpoint " +
                     std::to_string(spec.label_names.size()),
                 "give the data the checkpoint was fine-tuned on"};
  if (dataset.numbered_folders)
    return Error{
        Code::bad_input,
        "the checkpoint's classes have no names, and the class folders are numbers, whose order is not known: "
        "torchvision, Keras and Hugging Face take 1, 10, 2 (as texts), timm takes 1, 2, 10",
        "say the order it was fine-tuned with: label_names in dataset.toml, or classes.txt, one folder a line"};
  say("the checkpoint's classes have no names; taken in order from the data");
  spec.label_names = dataset.label_names;
  return {};
}

// How the layers are treated: "frozen", trained with "exits", fine-tuned "plain" because they have no classifier yet,
// or some of them taught by all as a "student".
Result<std::string> trunk_of(const FitFrom& options, bool classifies) {
  const std::string trunk = !options.keep_layers.empty() ? "student"
                            : options.trunk              ? "exits"
                            : classifies                 ? "frozen"
                                                         : "plain";
  if (trunk == "frozen" && !options.training.empty())
    return Error{Code::usage, options.training[0].first + " is of no use: the checkpoint's layers stay as they are",
                 "add --trunk or --keep-layers to train them"};
  return trunk;
}

// What may change the result: the checkpoint's content and what was asked for.
Json asked(const FitFrom& options, const std::string& trunk, const std::string& checkpoint) {
  Json out = {
      {"from", "checkpoint"}, {"checkpoint", checkpoint},         {"trunk", trunk},
      {"seed", options.seed}, {"max_tokens", options.max_tokens}, {"max_disagreement", options.max_disagreement}};
  if (options.no_labels) out["no_labels"] = true;
  if (!options.keep_layers.empty()) out["keep_layers"] = options.keep_layers;
  for (const auto& [flag, value] : options.training) out[flag.substr(2)] = value;
  return out;
}

// True: `out` is this very fit. A bundle that another one finished is an error: it may be all that is left of hours.
Result<bool> finished(const FitFrom& options, const Json& wanted, const std::string& fingerprint) {
  const auto bundle = Bundle::open(options.out);
  if (!bundle || !(*bundle)->fathom().contains("policy")) return false;
  const Json& fathom = (*bundle)->fathom();
  if (fathom.contains("data") && fathom["data"].value("fingerprint", "") == fingerprint &&
      fathom.contains("provenance") && fathom["provenance"].value("options", Json()) == wanted)
    return true;
  return Error{
      Code::usage,
      "'" + options.out.string() + "' holds a bundle fitted with other options, other data or another checkpoint",
      "choose another -o, or delete it"};
}

fs::path teacher_folder(const FitFrom& options) { return options.out / "fit" / "teacher"; }

// What is imported: the checkpoint; an encoder with its new classifier, or a student, in a folder of its own.
Result<fs::path> start_folder(const FitFrom& options, const data::Dataset& dataset, bool classifies) {
  const fs::path start = options.out / "fit" / "start";
  if (!options.keep_layers.empty()) {
    if (!classifies)
      return Error{Code::bad_input, "'" + options.from.string() + "' has no classifier, so it can teach nothing",
                   "fine-tune it first"};
    FATHOM_TRY_VOID(api::keep_layers(options.from, options.keep_layers, start));
    return start;
  }
  if (classifies) return options.from;
  if (dataset.label_names.size() < 2)
    return Error{Code::bad_input,
                 "'" + options.from.string() + "' has no classifier, and the data no labels to train one",
                 "give labelled data"};
  say("the checkpoint has no classifier: it is fine-tuned for " + std::to_string(dataset.label_names.size()) +
      " classes");
  FATHOM_TRY_VOID(api::add_classifier(options.from, dataset.label_names, options.seed, start));
  return start;
}

// A checkpoint as a bundle in `out`, its spec as this fit wants it.
Status import_into(const FitFrom& options, const fs::path& from, const fs::path& out, const data::Dataset& dataset,
                   engine::Runtime& runtime) {
  FATHOM_TRY(const auto imported, api::import_checkpoint(from, out, runtime));
  ModelSpec spec = imported.checkpoint.spec;
  FATHOM_TRY_VOID(adopt_labels(spec, dataset));
  if (options.max_tokens > 0 && spec.modality == Modality::text) {
    if (options.max_tokens > spec.max_tokens)
      return Error{Code::usage,
                   "--max-tokens " + std::to_string(options.max_tokens) + ": the checkpoint has positions for " +
                       std::to_string(spec.max_tokens),
                   "give at most that"};
    spec.max_tokens = options.max_tokens;
  }
  FATHOM_TRY(const auto bundle, Bundle::open(out));
  Json fathom = bundle->fathom();
  fathom["model"]["spec"] = spec_to_json(spec);
  FATHOM_TRY(fathom["split_use"], data::read_split_use(options.from));  // a folder on the way to here has none
  return update_bundle(out, fathom);
}

// True: `out` holds this very training already.
bool tuned(const fs::path& out, const std::string& key) {
  const auto bundle = Bundle::open(out);
  if (!bundle || !(*bundle)->fathom().contains("provenance")) return false;
  const Json& provenance = (*bundle)->fathom()["provenance"];
  return provenance.contains("tuned") && provenance["tuned"].value("key", "") == key &&
         static_cast<bool>((*bundle)->verify());
}

void append(std::vector<std::string>& command, const std::vector<std::string>& more) {
  command.insert(command.end(), more.begin(), more.end());
}

// fathom-train on the bundle in `out`.
Result<int> train_bundle(std::vector<std::string> arguments, const FitFrom& options) {
  append(arguments, {"--out", options.out.string(), "--seed", std::to_string(options.seed)});
  return train(arguments, options.max_disagreement, options.runtime.threads);
}

// The layers trained in place.
Result<int> tune_trunk(const FitFrom& options, const data::ReadOptions& read, const std::string& trunk,
                       const std::string& key) {
  std::vector<std::string> arguments = {"--tune", trunk == "exits" ? "exits" : "plain",
                                        "--key",  key,
                                        "--data", options.data.string(),
                                        "--task", data::task_name(read.task)};
  if (!read.label_column.empty()) append(arguments, {"--label-column", read.label_column});
  for (const std::string& column : read.text_columns) append(arguments, {"--text-columns", column});
  if (read.pairs) append(arguments, {"--pairs"});
  if (read.header) append(arguments, {*read.header ? "--header" : "--no-header"});
  for (const auto& [flag, value] : options.training) append(arguments, {flag, value});
  if (options.no_labels) append(arguments, {"--no-labels"});
  if (trunk == "student") append(arguments, {"--teacher", teacher_folder(options).string()});
  return train_bundle(std::move(arguments), options);
}

}  // namespace

Result<int> fit_from(const FitFrom& options) {
  data::ReadOptions read = options.read;
  read.seed = options.seed;
  FATHOM_TRY(const Checkpoint found, api::look_at(options.from));
  read.check_pictures = true;
  FATHOM_TRY(auto dataset, data::read_dataset(options.data, read));
  for (const auto& note : dataset.notes) say(note);
  if (options.no_labels) dataset.label_names.clear();
  FATHOM_TRY(const std::string trunk, trunk_of(options, found.has_classifier));
  FATHOM_TRY(const std::string checkpoint, api::checkpoint_sha256(options.from));
  const Json wanted = asked(options, trunk, checkpoint);
  FATHOM_TRY(const bool done, finished(options, wanted, dataset.fingerprint));
  if (done) {
    say(options.out.string() + " is already fitted with these options");
    return 0;
  }
  constexpr std::size_t kLeastTune = 192;  // fathom-train cross-fits the decision on them
  if (const std::size_t rows = dataset.part(data::Part::tune).size(); rows < kLeastTune)
    return Error{
        Code::bad_input,
        "the tune split has " + std::to_string(rows) + " rows, at least " + std::to_string(kLeastTune) + " are needed",
        "give more inputs: an eighth of them is taken for it"};
  FATHOM_TRY(const auto runtime, engine::Runtime::create(options.runtime));
  const std::string training = sha256_hex(dataset.fingerprint + wanted.dump());
  if (trunk == "frozen" || !tuned(options.out, training)) {
    FATHOM_TRY(const fs::path start, start_folder(options, dataset, found.has_classifier));
    FATHOM_TRY_VOID(import_into(options, start, options.out, dataset, *runtime));
    if (trunk == "student")
      FATHOM_TRY_VOID(import_into(options, options.from, teacher_folder(options), dataset, *runtime));
    if (trunk != "frozen") {
      FATHOM_TRY(const int code, tune_trunk(options, read, trunk, training));
      if (code != 0) return code;
    }
  }
  FATHOM_TRY(const auto bundle, Bundle::open(options.out));
  FATHOM_TRY(const auto model, Model::load(bundle));
  FATHOM_TRY(const auto plan, engine::Plan::compile(model, *runtime));
  const ModelSpec& spec = model->spec();
  const std::string key = sha256_hex(bundle->checksum() + dataset.fingerprint + wanted.dump());
  const fs::path states = options.out / "fit" / "states";
  for (const auto& [part, most] :
       {std::pair(data::Part::train, kMostTrainRows), std::pair(data::Part::tune, kMostTuneRows)}) {
    FATHOM_TRY(const auto inputs, eval::encode_split(dataset, part, spec, options.out, most));
    Progress bar(std::string("states of ") + data::part_name(part), static_cast<long>(inputs.count));
    FATHOM_TRY_VOID(
        eval::write_frozen_states(plan, *runtime, inputs, states, data::part_name(part), key, part == data::Part::tune,
                                  [&](std::size_t rows, std::size_t) { bar.update(static_cast<long>(rows)); }));
  }
  Json use = Json::object();
  data::note_split_use(use, dataset, data::Part::train, {"heads"});
  data::note_split_use(use, dataset, data::Part::tune, {"heads", "temperatures", "decision"});
  const Json facts = {{"spec", spec_to_json(spec)},
                      {"data", data::record_of(dataset, options.data, read)},
                      {"split_use", use},
                      {"options", wanted},
                      {"key", key}};
  FATHOM_TRY_VOID(write_file_atomic(states / "frozen.json", facts.dump(1) + "\n"));
  FATHOM_TRY(const int code, train_bundle({"--states", states.string()}, options));
  if (code != 0) return code;
  std::error_code ignored;
  fs::remove_all(states, ignored);  // gigabytes, and made again in minutes
  return 0;
}

}  // namespace fathom::cli
