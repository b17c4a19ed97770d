// What of a bundle was fitted on which rows: fathom.json "split_use", so that whoever proves something on a split can
// refuse rows that the bundle has learned from. Every verb that fits writes into it, and whatever makes a bundle of a
// bundle carries it along.
//
//   "split_use": {"<fingerprint of the data>": {"train": ["trunk", "heads"], "tune": ["temperatures", "decision"],
//                 "calibrate": ["operating_points"], "rows": {"train": {"count": 84000, "least": "<hex>"}}}}
//
// `least` are the 256 least of the rows' 64-bit hashes: a random sample of the split's distinct rows, by which the same
// rows are known again under another fingerprint (a folder that grew by a row is carved anew; a train file that was
// renamed). Thread rule: pure functions.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "data/dataset.h"

namespace fathom::data {

// The one use that fits nothing: thresholds chosen on a split. A certificate chooses its own.
inline constexpr const char* kOperatingPoints = "operating_points";

// The record of a fathom.json. Where an older compress left none it is known to have fitted on calibrate.
Json split_use_of(const Json& fathom);

// The same of a folder's fathom.json; empty where there is none. Errors: io, bad_input.
Result<Json> read_split_use(const std::filesystem::path& folder);

// Adds to a record: `what` ("heads", "moments", ...) was fitted on this split of `dataset`.
void note_split_use(Json& use, const Dataset& dataset, Part part, const std::vector<std::string>& what);

// Adds all that `from` records; `by` ("teacher") names whose rows they were: "teacher: heads".
void carry_split_use(Json& use, const Json& from, const std::string& by = "");

struct Fitted {
  std::string what;
  std::string data;         // fingerprint of the data it was fitted on
  Part part = Part::train;  // which split of those it was
  double share = 1;         // of the rows asked about, estimated; 1: the very split
};

// Below this share of rows met again two splits merely repeat a few texts, as most data sets do.
inline constexpr double kSameRows = 0.05;

// What was fitted on the rows of this split, operating points left out: empty where they are fresh. Error:
// corrupt_bundle, a record that is none.
Result<std::vector<Fitted>> fitted_on(const Json& fathom, const Dataset& dataset, Part part);

// "heads, trunk on its train rows; temperatures on its tune rows", for messages.
std::string fitted_text(const std::vector<Fitted>& fitted);

// 64 bits of a row's content: its text or texts, or its pixels; not its label.
std::uint64_t row_hash(const Split& split, std::size_t row);

}  // namespace fathom::data
