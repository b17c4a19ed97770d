// JSON from any bytes: a value that prints and parses again to itself, or an error.
#include <cstdint>
#include <string_view>

#include "base/json.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  const auto json = fathom::parse_json(text, "fuzz");
  if (!json) return 0;
  const auto again = fathom::parse_json(json->dump(), "fuzz");
  FATHOM_CHECK(again.has_value(), "printed JSON does not parse");
  return 0;
}
