// What `fathom compress` is told to do, read from its words. Errors: usage, naming the word.
#pragma once

#include <string>

#include "base/precision.h"
#include "base/result.h"
#include "compress/fold.h"
#include "compress/prune.h"
#include "compress/zero_weights.h"

namespace fathom::cli {

struct CompressWords {
  std::string preset;      // "compact": what is not said otherwise is half word rows, half the neurons, int8
  std::string word_width;  // "192" or "50%"
  std::string prune;       // "heads=25%,ffn=0.4,weights=2:4", weights with ",gradual" or ",movement"
  std::string fold;        // "90%", "qkv=96,f1=128", with ",shared" or ",weights"
  std::string tune;        // "2": passes over the training rows
  std::string precision;   // "bf16" or "int8"
};

// How single weights become zero: all at once by what outputs lose (compress/zero_weights.h), or more and more while
// --tune trains (train/weight_mask.h).
enum class Zeroing { at_once, gradual, movement };

struct CompressChoices {
  double word_width = 0;  // of the table's rows; below 1: a share of hidden; 0: as it is
  compress::PruneShares prune;
  compress::ZeroChoice zeros;
  Zeroing zeroing = Zeroing::at_once;
  compress::FoldChoice fold;
  double tune = 0;                        // epochs; 0: weights stay as the steps before made them
  Precision precision = Precision::fp32;  // fp32: as it is
  bool narrows() const { return word_width > 0; }
  bool prunes() const { return prune.heads > 0 || prune.ffn > 0; }
  bool zeroes() const { return zeros.any(); }
  bool zeroes_at_once() const { return zeroes() && zeroing == Zeroing::at_once; }
  bool folds() const { return fold.any(); }
  bool tunes() const { return tune > 0; }
  bool smaller() const { return narrows() || prunes() || folds(); }
  bool rounds() const { return precision != Precision::fp32; }
  bool trainable() const { return smaller() || zeroes() || precision == Precision::int8; }  // something to win back
  bool trains_int8() const {
    return tunes() && precision == Precision::int8 && !smaller() && !zeroes();
  }  // with its rounding; else before it (ADR 0017)
  bool reads_data() const {
    return prunes() || zeroes() || (folds() && !fold.by_weights) || tunes();
  }  // cannot do without
};

Result<CompressChoices> read_choices(CompressWords words);
Result<double> read_epochs(const std::string& text);  // of --tune

}  // namespace fathom::cli
