// Which row is the header and which columns are text, label and complexity: general rules, no guess kept
// silent (each choice becomes a note), and where the evidence is not enough an error that asks.
// docs/formats/datasets.md states the rules.
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

enum class HeaderIs { yes, no, unclear };

// Of a table's first row. `wanted`: column names the user gave. `why` gets the evidence where it is unclear.
HeaderIs header_is(const Table& table, const std::vector<std::string>& wanted, std::string* why = nullptr);
// Makes the first row of `table` its header: as `told` where somebody said so, else if it is one.
Status find_header(Table& table, const std::vector<std::string>& wanted, std::optional<bool> told = std::nullopt);
// The same for another split: what names train's columns is a header, and what is unclear is as it is there.
Status find_header_as(Table& table, const Table& train, const std::vector<std::string>& wanted,
                      std::optional<bool> told);
// `text` and `label` are names or 1-based numbers; empty: found.
Result<Columns> choose_columns(const Table& table, const std::vector<std::string>& text, const std::string& label);
// The same columns in the file of another split, named so in errors: by name where both have headers, else by position.
Result<Columns> same_columns(const Table& train, const Columns& columns, const Table& other, const char* split);
std::string describe_columns(const Table& table, const Columns& columns);

}  // namespace fathom::data
