// A plain file of texts, one a line, without labels: what people have most of. Empty lines are passed over.
// A pair of texts is a line with one TAB between the two.
// Errors: bad_input (no text, no UTF-8 text file, no pair), limit (a line above 1 MiB). Thread rule: pure functions.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace fathom::data {

Result<std::vector<std::string>> read_text_lines(const std::filesystem::path& file);
Result<std::pair<std::string, std::string>> split_pair(const std::string& line, const std::string& where);
// Every line of `texts` cut at its TAB: its second text goes to `second`.
Status split_pairs(std::vector<std::string>& texts, std::vector<std::string>& second, const std::string& where);

}  // namespace fathom::data
