// dataset.toml from any bytes: names that stay inside the folder, or an error.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "data/dataset_toml.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const auto toml = fathom::data::parse_dataset_toml({reinterpret_cast<const char*>(bytes), size}, "fuzz");
  if (!toml) return 0;
  for (const auto& files : toml->files)
    for (const std::string& name : files)
      FATHOM_CHECK(!name.empty() && name.front() != '/' && name != "..", "a name outside the folder");
  return 0;
}
