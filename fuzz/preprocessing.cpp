// preprocessor_config.json and timm's config from any bytes: settings that can be applied to a small picture, or an
// error.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string_view>

#include "data/preprocessing.h"

namespace {

void apply(const fathom::Result<fathom::data::Preprocessing>& how) {
  if (!how) return;
  for (const auto& [height, width] : {std::pair(1, 1), std::pair(7, 3), std::pair(1, 200)}) {
    const std::size_t bytes = static_cast<std::size_t>(height) * static_cast<std::size_t>(width) * 3;
    const auto size = how->output();
    if (std::max(size.height, how->height) > 512 || std::max(size.width, how->width) > 512 || how->shortest_edge > 64)
      return;  // slow, not wrong
    const auto picture = fathom::data::preprocess({height, width, std::vector<std::uint8_t>(bytes, 77)}, *how);
    if (!picture) continue;
    FATHOM_CHECK(size.height == 0 || (picture->height == size.height && picture->width == size.width),
                 "another size than announced");
    for (const float value : fathom::data::pixel_tensor(*picture, *how))
      FATHOM_CHECK(std::isfinite(value), "not finite");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  apply(fathom::data::parse_preprocessing(text, "fuzz"));
  apply(fathom::data::parse_timm_preprocessing(text, "fuzz"));
  return 0;
}
