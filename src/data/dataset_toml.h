// dataset.toml: an optional description that overrides the general rules. A small, strict subset of TOML:
// `key = "text"` and `key = ["text", ...]` (a list may span lines), comments, basic strings with \" \\ \n \t.
// `header = true` or false alone has no quotes. Keys: task, text_columns, label_column, label_names, header, train,
// tune, calibrate, test (file names in the folder). Errors: bad_input with the line; unknown keys are refused by name.
// Thread rule: pure functions.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "data/dataset.h"

namespace fathom::data {

struct DatasetToml {
  std::optional<Task> task;
  std::vector<std::string> text_columns;
  std::string label_column;
  std::optional<bool> header;  // whether the first row of a CSV or TSV file is one
  std::vector<std::string> label_names;
  std::array<std::vector<std::string>, 4> files;  // by Part
};

Result<DatasetToml> parse_dataset_toml(std::string_view text, const std::string& where);

}  // namespace fathom::data
