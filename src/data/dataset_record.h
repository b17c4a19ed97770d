// What a bundle remembers of the data it was fitted on, and how the same rows are read again from it.
// Thread rule: pure functions.
#pragma once

#include "base/json.h"
#include "data/dataset.h"

namespace fathom::data {

// fathom.json "data": task, folder, fingerprint, rows of every part, seed, and the read options that were given.
Json record_of(const Dataset& dataset, const std::filesystem::path& folder, const ReadOptions& options);

struct RecordedData {
  std::filesystem::path folder;
  ReadOptions options;
  std::string fingerprint;
  bool pictures_are_files = false;  // else, of class folders, it is of pixels resized as they were read then
};

// How to read data for a bundle: as recorded, or, of an import that was never fitted, as its kind of model reads them.
Result<ReadOptions> recorded_options(const Json& fathom, const std::string& where);

// Of a whole fathom.json. Error: corrupt_bundle, naming what its "data" lacks.
Result<RecordedData> recorded_data(const Json& fathom, const std::string& where);

}  // namespace fathom::data
