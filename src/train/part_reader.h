// Splits of a dataset as a bundle's model reads them: its tokenizer or its way with pictures, its classes.
// Thread rule: `read` from any thread. Errors: the files', bad_input (a class the model does not know).
#pragma once

#include <filesystem>
#include <optional>

#include "data/dataset.h"
#include "data/preprocessing.h"
#include "data/tokenizer.h"
#include "train/prepare.h"

namespace fathom::train {

class PartReader {
 public:
  static Result<PartReader> open(const std::filesystem::path& bundle, const ModelSpec& spec);  // `spec` outlives it
  Result<Encoded> read(const data::Dataset& dataset, data::Part part, bool labelled) const;

 private:
  explicit PartReader(const ModelSpec& spec) : spec_(spec) {}

  const ModelSpec& spec_;
  std::optional<data::Tokenizer> tokenizer_;
  std::optional<data::Preprocessing> how_;
};

}  // namespace fathom::train
