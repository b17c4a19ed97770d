// Stream: inputs through an engine Stream: taken as they come, answered as they finish. What the public Stream is made
// of. Errors: as Encoding and engine::Stream. Thread rule: one thread at a time.
#pragma once

#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "api/encoding.h"
#include "engine/stream.h"

namespace fathom::api {

class Stream {
 public:
  static Result<Stream> create(std::shared_ptr<Opened> opened, std::size_t most, const engine::RunOptions& options);
  // Takes the first inputs, as many as there is room for, and returns how many: those get the next tickets, from 0 on.
  // Input: std::string, TextPair, data::Picture. Errors: invalid_argument when the model reads another kind of input.
  template <class Input>
  Result<std::size_t> submit(std::span<const Input> inputs);
  // Runs until at least one input is finished and hands out all that are, with their tickets; none: none is held. Some
  // may have no answer (engine::Prediction::no_answer).
  std::vector<std::pair<std::uint64_t, Outcome>> drain();
  std::size_t held() const { return stream_.held(); }
  std::size_t room() const { return stream_.room(); }

 private:
  Stream(std::shared_ptr<Opened> opened, engine::Stream stream);

  std::shared_ptr<Opened> opened_;  // outlives stream_: declared first
  engine::Stream stream_;
  Encoding encoding_;
  std::unordered_map<std::uint64_t, Outcome> held_;  // by ticket; no prediction yet
  std::vector<Outcome> outcomes_;
  std::vector<engine::Finished> finished_;
};

}  // namespace fathom::api
