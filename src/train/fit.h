// The default recipe from data to bundle: trunk, exit heads, decision, export. Finished stages are kept under
// <output>/fit/ and not done again; the same command after kill -9 or ctrl-C ends in the same bytes.
#pragma once

#include "train/options.h"

namespace fathom::train {

// Errors: usage (another run's state in the folder), bad_input, io, cancelled (state kept).
Status fit(const FitOptions& options);

}  // namespace fathom::train
