// A plain file of texts, one a line, without labels: what people have most of. Empty lines are passed over.
// Errors: bad_input (no text, no UTF-8 text file), limit (a line above 1 MiB). Thread rule: pure function.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"

namespace fathom::data {

Result<std::vector<std::string>> read_text_lines(const std::filesystem::path& file);

}  // namespace fathom::data
