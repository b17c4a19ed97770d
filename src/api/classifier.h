// Classifier: whole lists of inputs through an engine Session, batch by batch: what the public interface and `fathom
// run` share. Errors: as Encoding and Session. Thread rule: one thread at a time.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "api/encoding.h"

namespace fathom::api {

class Classifier {
 public:
  static Result<Classifier> create(std::shared_ptr<Opened> opened, std::size_t max_batch);
  // One outcome each, in order; some perhaps without an answer (engine::Prediction::no_answer). Errors:
  // invalid_argument when the model reads the other kind of input.
  Result<std::vector<Outcome>> texts(std::span<const std::string> texts, const engine::RunOptions& options) {
    return all(texts, options);
  }
  Result<std::vector<Outcome>> pairs(std::span<const TextPair> pairs, const engine::RunOptions& options) {
    return all(pairs, options);
  }
  Result<std::vector<Outcome>> pictures(std::span<const data::Picture> pictures, const engine::RunOptions& options) {
    return all(pictures, options);
  }
  Result<std::vector<Outcome>> pictures(std::span<const FittedPicture> pictures, const engine::RunOptions& options) {
    return all(pictures, options);
  }
  std::size_t buffer_bytes() const { return session_.buffer_bytes(); }  // engine::Session's
  engine::ResidencyReport residency() const { return session_.residency(); }

 private:
  Classifier(std::shared_ptr<Opened> opened, engine::Session session, std::size_t max_batch);
  template <class Input>
  Result<std::vector<Outcome>> all(std::span<const Input> inputs, const engine::RunOptions& options);

  std::shared_ptr<Opened> opened_;  // outlives session_: declared first
  engine::Session session_;
  std::size_t max_batch_;
  Encoding encoding_;
  std::vector<engine::Prediction> predictions_;
};

}  // namespace fathom::api
