// Checkpoints made of checkpoints, so that everything behind sees one kind: an encoder before fine-tuning gets a
// classifier, a student gets some of its teacher's layers. Errors: unsupported, bad_input, io. Thread rule: one call at
// a time on one output folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "model/hugging_face.h"

namespace fathom::api {

// What the folder holds, an encoder without classifier included. Reads config.json and the weights' header.
Result<Checkpoint> look_at(const std::filesystem::path& folder);

// Writes a checkpoint of the same family for these classes into `to`: the encoder's weights, a head drawn as the
// family's own library draws it (normal, deviation 0.02; a pooler that is there is kept), config.json with the classes,
// and the files that say how inputs are read.
Status add_classifier(const std::filesystem::path& folder, const std::vector<std::string>& classes, std::uint64_t seed,
                      const std::filesystem::path& to);

// Writes the checkpoint with only the layers `kept` (0-based, rising) into `to`. Error: usage when they are not there.
Status keep_layers(const std::filesystem::path& folder, const std::vector<int>& kept, const std::filesystem::path& to);

}  // namespace fathom::api
