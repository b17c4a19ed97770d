// A bundle folder opened, compiled for this machine and ready to answer, and the words for what goes in and comes out.
// Errors: as Bundle, Model, Plan and Tokenizer. Thread rule: `Opened` is immutable but for the runtime's pool, which
// sessions may share.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "data/preprocessing.h"
#include "data/tokenizer.h"
#include "engine/engine.h"

namespace fathom::api {

struct Opened {
  std::shared_ptr<const Model> model;
  std::shared_ptr<const engine::Plan> plan;
  std::unique_ptr<engine::Runtime> runtime;
  std::optional<data::Tokenizer> tokenizer;          // text only
  std::optional<data::Preprocessing> preprocessing;  // pictures of an imported checkpoint; else they are resized to fit
  std::optional<bool>
      pairs;  // whether the data it was fitted on were pairs of texts, and so its inputs; empty: not fitted
  const ModelSpec& spec() const { return model->spec(); }
  const Bundle& bundle() const { return *model->bundle(); }
};
Result<std::shared_ptr<Opened>> open_bundle(const std::filesystem::path& folder, const engine::RuntimeOptions& options);

struct TextPair {
  std::string first, second;
};

struct Outcome {
  engine::Prediction prediction;
  int tokens = 0;        // CLS included
  double full_macs = 0;  // of the same input at full depth, no decision
  bool cut = false;      // the text was longer than the model reads
};

}  // namespace fathom::api
