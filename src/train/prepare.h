// From a dataset to what training needs: tokenizer, ModelSpec, tensors of every part, and the schedule of stage 0.
// Defaults come from the data alone: data with known complexity takes the generated tasks' shape (window 1, CLS).
// Errors: usage (shape does not fit the data), bad_input (too few rows).
#pragma once

#include <array>
#include <optional>

#include "data/dataset.h"
#include "data/tokenizer.h"
#include "train/backbone.h"
#include "train/options.h"

namespace fathom::train {

// The rate rises over `warmup` steps, stays for the share `hold` of all steps, then falls linearly to final_share of
// it.
struct Schedule {
  std::int64_t steps = 0, batch = 64, warmup = 50;
  double rate = 2e-3, hold = 0, final_share = 0.05, decay = 0.01, beta1 = 0.9, beta2 = 0.98, clip = 1.0, dropout = 0;
  bool keep_best = false;  // return the weights with the best accuracy on tune, not the last ones
};

struct Prepared {
  ModelSpec spec;
  Schedule schedule;
  std::optional<data::Tokenizer> tokenizer;
  std::array<Encoded, 4> parts;  // by data::Part
  std::int64_t cut = 0;          // training texts longer than spec.max_tokens
  bool teachers_tokens =
      false;  // what the model reads of an input is what its teacher reads: the same words, the same patches
  const Encoded& part(data::Part p) const { return parts[static_cast<std::size_t>(p)]; }
};

// teacher: of the bundle options.teacher, or null. With one, texts are read by its tokenizer, unless --vocab-size asks
// for words of its own; pictures in its patches, where it takes them as they are in the data and --patch says nothing
// else. Further errors: usage (more tokens than the teacher reads), bad_input (it reads another kind of input).
Result<Prepared> prepare(const data::Dataset& dataset, const FitOptions& options, const ModelSpec* teacher = nullptr);

// `cut`, if given, gains the number of texts that were longer than spec.max_tokens.
Result<Encoded> encode_part(const data::Split& split, const ModelSpec& spec, const data::Tokenizer* tokenizer,
                            std::int64_t* cut = nullptr);

// Of layers that were trained before: AdamW with a short warm-up and a linear fall, batches of 32; what the options say
// wins over the defaults given. Error: bad_input, fewer than 16 rows.
struct FineTuning {
  double epochs, rate, dropout;
};
Result<Schedule> fine_tuning_schedule(const FitOptions& options, std::int64_t rows, const FineTuning& defaults);

Json schedule_to_json(const Schedule& schedule);

}  // namespace fathom::train
