// IDX: the format of the MNIST family. Two zero bytes, a type byte (8: unsigned bytes, the only one read),
// the number of dimensions, each dimension as a big-endian 32-bit number, then the values.
// Errors: bad_input (short, lying header), unsupported (other value types), limit. Thread rule: pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "data/raw_part.h"

namespace fathom::data {

struct IdxArray {
  std::vector<std::size_t> dims;
  std::string_view values;  // into the bytes given
};

Result<IdxArray> parse_idx(std::string_view bytes, const std::string& where);
std::string idx_bytes(const std::vector<std::size_t>& dims, std::string_view values);
// Images [N,H,W] (grey, repeated to RGB) or [N,H,W,3]; labels [N]; complexity [N] or no path.
Result<RawPart> read_idx_part(const fs::path& images, const fs::path& labels, const fs::path& complexity);

}  // namespace fathom::data
