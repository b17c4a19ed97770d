// JPEG and PNG from any bytes: a picture with all its pixels, or an error.
#include <cstdint>
#include <string_view>

#include "data/picture.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const auto picture = fathom::data::decode_picture({reinterpret_cast<const char*>(bytes), size}, "fuzz");
  if (!picture) return 0;
  FATHOM_CHECK(picture->pixels.size() ==
                   static_cast<std::size_t>(picture->height) * static_cast<std::size_t>(picture->width) * 3,
               "pixels missing");
  return 0;
}
