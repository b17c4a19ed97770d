#include "cli/fit_from.h"

#include <cstdio>

#include "api/checkpoint.h"
#include "base/log.h"
#include "base/sha256.h"
#include "bundle/bundle.h"
#include "cli/child.h"
#include "cli/steps.h"
#include "data/dataset_record.h"
#include "eval/frozen_states.h"
#include "model/model.h"

namespace fathom::cli {
namespace {

constexpr std::size_t kMostTrainRows = 30000;  // more does not help the heads, and states take 2 * hidden floats a layer
constexpr std::size_t kMostTuneRows = 4000;

Status adopt_labels(ModelSpec& spec, const data::Dataset& dataset) {
  if (dataset.label_names.empty() || !unnamed_labels(spec.label_names) || dataset.label_names == spec.label_names) return {};
  if (dataset.label_names.size() != spec.label_names.size())
    return Error{Code::bad_input, "the data has " + std::to_string(dataset.label_names.size()) + " classes, the checkpoint " +
                                      std::to_string(spec.label_names.size()), "give the data the checkpoint was fine-tuned on"};
  say("the checkpoint's classes have no names; taken in order from the data");
  spec.label_names = dataset.label_names;
  return {};
}

// What may change the result, as asked for.
Json asked(const FitFrom& options) {
  return {{"from", "checkpoint"}, {"trunk", "frozen"}, {"seed", options.seed}, {"max_tokens", options.max_tokens},
          {"max_disagreement", options.max_disagreement}};
}

bool finished(const FitFrom& options, const std::string& fingerprint) {
  const auto bundle = Bundle::open(options.out);
  if (!bundle) return false;
  const Json& fathom = (*bundle)->fathom();
  return fathom.contains("policy") && fathom.contains("data") && fathom["data"].value("fingerprint", "") == fingerprint &&
         fathom.contains("provenance") && fathom["provenance"].value("options", Json()) == asked(options);
}

// The checkpoint as a bundle in `out`, its spec as this fit wants it.
Status import_into(const FitFrom& options, const data::Dataset& dataset, engine::Runtime& runtime) {
  FATHOM_TRY(const auto imported, api::import_checkpoint(options.from, options.out, runtime));
  ModelSpec spec = imported.checkpoint.spec;
  FATHOM_TRY_VOID(adopt_labels(spec, dataset));
  if (options.max_tokens > 0 && spec.modality == Modality::text) {
    if (options.max_tokens > spec.max_tokens)
      return Error{Code::usage, "--max-tokens " + std::to_string(options.max_tokens) + ": the checkpoint has positions for " +
                                    std::to_string(spec.max_tokens), "give at most that"};
    spec.max_tokens = options.max_tokens;
  }
  FATHOM_TRY(const auto bundle, Bundle::open(options.out));
  Json fathom = bundle->fathom();
  fathom["model"]["spec"] = spec_to_json(spec);
  return update_bundle(options.out, fathom);
}

// Pictures in files of their own are kept in the size that the model reads, not in the first one's.
Status read_at_models_size(const FitFrom& options, data::ReadOptions& read) {
  FATHOM_TRY(const auto runtime, engine::Runtime::create(options.runtime));
  FATHOM_TRY(const auto checked, api::check_checkpoint(options.from, *runtime));
  if (checked.checkpoint.spec.modality != Modality::image) return {};  // refused below, with what the data is
  read.image_height = checked.checkpoint.spec.image_height;
  read.image_width = checked.checkpoint.spec.image_width;
  return {};
}

}  // namespace

Result<int> fit_from(const FitFrom& options) {
  data::ReadOptions read = options.read;
  read.seed = options.seed;
  if (read.task == data::Task::image_classification) FATHOM_TRY_VOID(read_at_models_size(options, read));
  FATHOM_TRY(const auto dataset, data::read_dataset(options.data, read));
  for (const auto& note : dataset.notes) say(note);
  if (finished(options, dataset.fingerprint)) {
    say(options.out.string() + " is already fitted with these options");
    return 0;
  }
  constexpr std::size_t kLeastTune = 192;  // fathom-train cross-fits the decision on them
  if (const std::size_t rows = dataset.part(data::Part::tune).size(); rows < kLeastTune)
    return Error{Code::bad_input, "the tune split has " + std::to_string(rows) + " rows, at least " + std::to_string(kLeastTune) + " are needed",
                 "give more inputs: an eighth of them is taken for it"};
  FATHOM_TRY(const auto runtime, engine::Runtime::create(options.runtime));
  FATHOM_TRY_VOID(import_into(options, dataset, *runtime));
  FATHOM_TRY(const auto bundle, Bundle::open(options.out));
  FATHOM_TRY(const auto model, Model::load(bundle));
  FATHOM_TRY(const auto plan, engine::Plan::compile(model, *runtime));
  const ModelSpec& spec = model->spec();
  const std::string key = sha256_hex(bundle->checksum() + dataset.fingerprint + asked(options).dump());
  const fs::path states = options.out / "fit" / "states";
  for (const auto& [part, most] : {std::pair(data::Part::train, kMostTrainRows), std::pair(data::Part::tune, kMostTuneRows)}) {
    FATHOM_TRY(const auto inputs, eval::encode_split(dataset, part, spec, options.out, most));
    Progress bar(std::string("states of ") + data::part_name(part), static_cast<long>(inputs.count));
    FATHOM_TRY_VOID(eval::write_frozen_states(plan, *runtime, inputs, states, data::part_name(part), key, part == data::Part::tune,
                                              [&](std::size_t done, std::size_t) { bar.update(static_cast<long>(done)); }));
  }
  const Json facts = {{"spec", spec_to_json(spec)}, {"data", data::record_of(dataset, options.data, read)}, {"options", asked(options)}, {"key", key}};
  FATHOM_TRY_VOID(write_file_atomic(states / "frozen.json", facts.dump(1) + "\n"));
  std::vector<Child> child(1);
  char share[32];
  std::snprintf(share, sizeof share, "%.17g", options.max_disagreement);
  child[0].command = {train_program().string(), "--states", states.string(), "--out", options.out.string(), "--seed",
                      std::to_string(options.seed), "--max-disagreement", share};
  if (options.runtime.threads > 0) child[0].command.insert(child[0].command.end(), {"--threads", std::to_string(options.runtime.threads)});
  const Status ran = run_children(child);
  if (child[0].exit_code != 0) return child[0].exit_code < 0 ? Result<int>(ran.error()) : verdict_of(child[0]);
  FATHOM_TRY_VOID(ran);
  std::error_code ignored;
  fs::remove_all(states, ignored);  // gigabytes, and made again in minutes
  return 0;
}

}  // namespace fathom::cli
