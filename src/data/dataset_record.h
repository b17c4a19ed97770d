// What a bundle remembers of the data it was fitted on, enough to read the same rows again (eval/recorded_data.h).
// Thread rule: pure function.
#pragma once

#include "base/json.h"
#include "data/dataset.h"

namespace fathom::data {

// fathom.json "data": task, folder, fingerprint, rows of every part, seed, and the read options that were given.
Json record_of(const Dataset& dataset, const std::filesystem::path& folder, const ReadOptions& options);

}  // namespace fathom::data
