// What `fathom-train` was asked for, and the parsing of its command line. Unset shape and schedule fields are
// filled from the data (prepare.h). Errors: usage, naming flag, range and value.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "data/dataset.h"
#include "model/spec.h"

namespace fathom::train {

struct FitOptions {
  std::filesystem::path data, output;
  std::filesystem::path states;  // not empty: exits and decision on states that the engine wrote (train/frozen.h)
  std::string tune;  // "plain" or "exits": the layers of the bundle in `output` are trained (train/tuning.h); "like":
                     // train/distil.h
  std::filesystem::path teacher;  // with tune: a bundle whose answers are learned beside the labels; with "like" alone.
                                  // Without tune: a bundle of any shape that teaches stage 0 (train/scratch_learner.h)
  std::string teacher_checksum;   // of that last one, once it was opened
  std::filesystem::path state;    // with "like": where its training state is kept
  std::string
      zeros;  // with "like": share of the layers' weights that become zero, or "2:4" (train/weight_mask.h); empty: none
  bool zeros_by_movement = false;  // else by magnitude
  int int8_levels =
      0;  // with "like": not 0: trained as the engine's int8 computes with so many levels of activations above 0
  int image_height = 0, image_width = 0;  // that a new model reads of pictures in files; 0: found
  bool no_labels = false;                 // with tune: the model's own answers stand for the data's labels
  std::string key;                        // written into that bundle: names what it was made of
  data::Task task = data::Task::text_classification;
  std::string recipe = "default";  // or "paper": Algorithm 1 as printed
  std::uint64_t seed = 1;
  int threads = 0;  // 0: all cores. Never changes a result
  std::vector<std::string> text_columns;
  std::string label_column;
  std::optional<bool> header;  // whether the first row of a CSV or TSV file is one; nothing: found
  bool pairs = false;
  std::size_t max_train = 0;
  double max_disagreement = 0.005;  // with full depth; where scores are compared and thresholds chosen
  // Shape; unset: by task and data.
  std::optional<int> layers, hidden, heads, ffn, window, max_tokens, patch, vocab_size, word_width, head_hidden;
  std::optional<NormOrder> norm;
  std::optional<Attention> attention;
  std::optional<Pooling> pooling;
  // Schedule of stage 0; unset: by task and data. `steps` wins over `epochs`.
  std::optional<double> rate, epochs, dropout;
  std::optional<int> batch, steps;
  int checkpoint_every = 200;  // steps. Never changes a result
  bool progress = true;
};

struct CommandLine {
  FitOptions options;
  bool help = false;
  std::string help_text;
};
Result<CommandLine> parse_command_line(int argc, const char* const* argv);

// Everything that can change a bundle, as asked for; goes into provenance and decides whether a run may be resumed.
Json options_to_json(const FitOptions& options);

data::ReadOptions read_options(const FitOptions& options);

}  // namespace fathom::train
