// Which row is the header and which columns are text, label and complexity: general rules, no guess kept
// silent (each choice becomes a note). docs/formats/datasets.md states the rules.
// Errors: bad_input (missing, doubled or undecidable columns). Thread rule: pure functions.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "data/table.h"

namespace fathom::data {

struct Columns {
  std::vector<std::size_t> text;
  std::size_t label = 0;
  std::optional<std::size_t> complexity;
};

// Moves the first row of `table` to its header if it is one. `wanted`: column names the user gave.
Status find_header(Table& table, const std::vector<std::string>& wanted);
// `text` and `label` are names or 1-based numbers; empty: found.
Result<Columns> choose_columns(const Table& table, const std::vector<std::string>& text, const std::string& label);
// The same columns in another file: by name where both have headers, else by position.
Result<Columns> same_columns(const Table& train, const Columns& columns, const Table& other);
std::string describe_columns(const Table& table, const Columns& columns);

bool is_integer(const std::string& text);

}  // namespace fathom::data
