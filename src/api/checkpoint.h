// A Hugging Face (or timm) folder read, checked part by part, and made a bundle whose weights are the very same file.
// Errors: unsupported naming the part and its nearest supported form; bad_input, corrupt_bundle naming file and tensor.
// Thread rule: one call at a time on one output folder.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "api/reference.h"
#include "model/hugging_face.h"

namespace fathom::api {

struct Imported {
  Checkpoint checkpoint;
  std::size_t parameters = 0;      // of the tensors used, the classifier included
  std::vector<std::string> files;  // what belongs into the bundle
  std::optional<Parity> parity;    // where the folder holds reference.json
};

// config.json, the weights, and the names of the other files that belong to them.
struct CheckpointFiles {
  Json config;
  std::shared_ptr<const SafeTensors> weights;
  std::vector<std::string> own;     // config.json and the weights
  std::vector<std::string> beside;  // how inputs are read
};
Result<CheckpointFiles> open_checkpoint(const std::filesystem::path& folder);

// Of every file that open_checkpoint() names: two folders with the same hash make the same bundle.
Result<std::string> checkpoint_sha256(const std::filesystem::path& folder);

// Reads and checks everything; writes nothing.
Result<Imported> check_checkpoint(const std::filesystem::path& folder, engine::Runtime& runtime);

// The same, then writes the bundle: files copied byte for byte, fathom.json with the spec and the tensors' names; and
// the packed weights for `runtime`'s tier, so that the first run need not make them.
Result<Imported> import_checkpoint(const std::filesystem::path& folder, const std::filesystem::path& bundle,
                                   engine::Runtime& runtime);

}  // namespace fathom::api
