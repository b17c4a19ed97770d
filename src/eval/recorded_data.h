// The data a bundle was fitted on, as recorded in fathom.json "data": read again with the same options, so that
// its splits are the same rows. Errors: bad_input when the folder's content is another one than was fitted.
#pragma once

#include <filesystem>

#include "base/json.h"
#include "data/dataset.h"

namespace fathom::eval {

// Reads `given` if it is not empty, else the recorded folder, whose fingerprint must then be the recorded one.
// Where `given` differs from what was fitted a note says so.
struct EvalData {
  data::Dataset dataset;
  std::filesystem::path folder;
  std::uint64_t seed = 1;
  std::string note;  // empty: the very data of fit
};
// `test_alone`: `given` may hold nothing but a test split; the other splits are then those that were fitted.
Result<EvalData> read_eval_data(const Json& fathom, const std::filesystem::path& given, const std::string& where,
                                bool test_alone = false);

}  // namespace fathom::eval
