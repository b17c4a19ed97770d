// A bundle whose layers compute in bf16 or int8 (base/precision.h), with the file that such layers need.
//   bf16: model.safetensors with its matrices and tables in BF16; transformers still loads the folder.
//   int8: weights.int8.safetensors: the layers' maps in I8, one float32 scale for each output channel in NAME.scale
//   (the
//         largest magnitude becomes 127, rounded to nearest even), and so the word table, a scale for each word; other
//         tables in BF16, the rest in F32. With `sums` biases take back what rounding weights and inputs does to the
//         mean of a map's output: b + W mean(x) - W_int8 mean(x_int8), per map (bias correction: Nagel et al. 2019,
//         section 4.2, with the means of data); and what attention mixes is centred by the biases of v and o, so that
//         its rows have shorter ranges to round (docs/adr/0012).
// Exits, policy, predictor, tokenizer and preprocessing are copied. Operating points, budget table and certificate are
// left out: they speak of other answers. Same bundle, precision and sums, same bytes; the input is not touched.
// Errors: unsupported (a bundle that is compressed already, precision fp32), corrupt_bundle (a weight that is not
// finite), io. Thread rule: one call at a time on one output folder.
#pragma once

#include <filesystem>

#include "base/precision.h"
#include "base/result.h"
#include "model/input_sums.h"

namespace fathom::compress {

// sums: null, or of inputs like those to come, on the tier that will run; only int8 reads them.
Status to_precision(const std::filesystem::path& bundle, const std::filesystem::path& out, Precision precision,
                    const InputSums* sums = nullptr);

}  // namespace fathom::compress
