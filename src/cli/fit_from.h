// `fathom fit --from CHECKPOINT`: import, one pass of the engine for the states, exits and decision in fathom-train.
// The model's layers stay as they are, unless --trunk trains them first, or the checkpoint is an encoder that has no
// classifier yet and is fine-tuned. Resumes: what is done is kept. Errors: as each step.
#pragma once

#include "data/dataset.h"
#include "engine/engine.h"

namespace fathom::cli {

struct FitFrom {
  std::filesystem::path from, data, out;
  data::ReadOptions read;
  std::uint64_t seed = 1;
  int max_tokens = 0;  // 0: as many as the checkpoint has positions
  double max_disagreement = 0.005;
  bool no_labels = false;        // labels that the data have are not looked at
  bool trunk = false;            // train the layers together with exits
  std::vector<int> keep_layers;  // not empty: a student of these layers, taught by the checkpoint
  // Of that training, and of an encoder's fine-tuning; as given, empty: by the data (train/tune_checkpoint.cpp).
  std::vector<std::pair<std::string, std::string>> training;
  engine::RuntimeOptions runtime;
};

// Leaves a bundle in `out` whose operating points are not chosen yet. The exit code; not 0: fathom-train said why.
Result<int> fit_from(const FitFrom& options);

}  // namespace fathom::cli
