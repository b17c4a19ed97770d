// IDX from any bytes: an array with all the values its header promises, or an error.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "data/idx.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const auto array = fathom::data::parse_idx({reinterpret_cast<const char*>(bytes), size}, "fuzz");
  if (!array) return 0;
  std::size_t count = 1;
  for (const std::size_t dim : array->dims) count *= dim;
  FATHOM_CHECK(count == array->values.size() && count > 0, "values missing");
  return 0;
}
