// LightGBM's text format from any bytes: trees that can be evaluated safely, or an error.
#include <cstdint>
#include <string_view>
#include <vector>

#include "policy/trees.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  const auto trees = fathom::policy::Trees::parse(text, "fuzz");
  if (!trees || trees->feature_count() > 4096) return 0;
  const std::vector<double> features(static_cast<std::size_t>(trees->feature_count()), 0.5);
  (void)trees->predict(features);
  return 0;
}
