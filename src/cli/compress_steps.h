// The transforms of `fathom compress` one after another, each on what the one before wrote: narrow word rows, fewer
// heads and neurons, single weights set to zero, folded maps, weights trained towards the bundle that was read
// (fathom-train), numbers in fewer bits; with what each needs to see of the data. Progress and what each did go to
// standard error. Thread rule: a Runtime for one caller at a time.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "cli/compress_choices.h"
#include "cli/compress_stage.h"
#include "engine/engine.h"
#include "eval/inputs.h"

namespace fathom::cli {

struct StepsData {
  const std::optional<eval::Encoded>& inputs;  // of the train split; needed where choices.reads_data()
  std::filesystem::path folder;                // of the data; needed where choices.tunes()
};

struct StepsDone {
  Json report = Json::object();     // what each step did
  std::vector<std::string> fitted;  // what was fitted on the inputs given ("moments", ...; data/split_use.h)
};
Result<StepsDone> run_steps(const std::filesystem::path& bundle, Stage& stage, const CompressChoices& choices,
                            const StepsData& data, engine::Runtime& runtime);

}  // namespace fathom::cli
