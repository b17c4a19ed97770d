// Classifier: a bundle folder opened, compiled for this machine and ready to answer: what the public interface and
// `fathom run` share. Errors: as Bundle, Model, Plan and Session. Thread rule: one thread at a time; `Opened` is
// immutable but for the runtime's pool, which sessions may share.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/picture.h"
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
  std::optional<bool> pairs;  // whether the data it was fitted on were pairs of texts, and so its inputs; empty: not fitted
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

class Classifier {
 public:
  static Result<Classifier> create(std::shared_ptr<Opened> opened, std::size_t max_batch);
  // One outcome each, in order. Errors: invalid_argument when the model reads the other kind of input.
  Result<std::vector<Outcome>> texts(std::span<const std::string> texts, const engine::RunOptions& options);
  Result<std::vector<Outcome>> pairs(std::span<const TextPair> pairs, const engine::RunOptions& options);
  Result<std::vector<Outcome>> pictures(std::span<const data::Picture> pictures, const engine::RunOptions& options);
  std::size_t buffer_bytes() const { return session_.buffer_bytes(); }  // engine::Session's
  engine::ResidencyReport residency() const { return session_.residency(); }

 private:
  Classifier(std::shared_ptr<Opened> opened, engine::Session session, std::size_t max_batch);
  template <class Encode>  // (index) -> cut: appends one input's ids, and its types if it has any
  Result<std::vector<Outcome>> encoded(std::size_t inputs, const Encode& encode, const engine::RunOptions& options);
  Status run(const engine::Batch& batch, const engine::RunOptions& options, std::span<Outcome> outcomes);

  std::shared_ptr<Opened> opened_;  // outlives session_: declared first
  engine::Session session_;
  std::size_t max_batch_;
  std::vector<std::int32_t> ids_, types_, offsets_;
  std::vector<std::uint8_t> pixels_;
  std::vector<engine::Prediction> predictions_;
};

}  // namespace fathom::api
