// CIFAR binary batches: records of a label byte and 1,024 red, green and blue bytes each (32x32, row by row);
// the 100-class form has two label bytes, of which the second, finer one counts. The form is told by the size.
// Errors: bad_input (size fits no whole number of records). Thread rule: pure functions.
#pragma once

#include <vector>

#include "base/file.h"
#include "data/raw_part.h"

namespace fathom::data {

Result<RawPart> read_cifar_part(const std::vector<fs::path>& files);

}  // namespace fathom::data
