// Training state on disk: named float tensors and a little JSON, written atomically, checked by SHA-256 when read.
// Two generations are kept; a damaged newest one is passed over with a warning. Identity (options, data, seed) is
// stored with the state: a checkpoint of another run is refused, naming what differs.
// File: "FATHOMCK", u64 length of JSON, JSON {identity, facts, tensors [{name, shape}]}, floats, SHA-256 as 64 hex
// digits.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "train/torch.h"

namespace fathom::train {

struct State {
  Json facts = Json::object();  // step and the like
  std::map<std::string, torch::Tensor> tensors;
};

class Checkpoints {
 public:
  Checkpoints() = default;  // keeps nothing
  Checkpoints(std::filesystem::path folder, Json identity)
      : folder_(std::move(folder)), identity_(std::move(identity)) {}
  bool enabled() const { return !folder_.empty(); }
  const std::filesystem::path& folder() const { return folder_; }
  // <folder>/<stage>.ckpt; the one before becomes <stage>.previous.ckpt.
  Status save(const std::string& stage, const State& state) const;
  // The newest readable state; nothing if there is none. Errors: usage when it belongs to another run.
  Result<std::optional<State>> load(const std::string& stage) const;
  void remove(const std::string& stage) const;

 private:
  std::filesystem::path folder_;
  Json identity_;
};

// "" if equal; else what differs, in words: "seed is 2, was 1".
std::string difference(const Json& now, const Json& before);

}  // namespace fathom::train
