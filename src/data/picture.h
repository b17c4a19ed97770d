// Hostile-safe JPEG and PNG decoding to RGB, and resizing. Header probed first; at most 40 Mpx.
// Palettes, grey, 16-bit and CMYK become RGB; alpha is dropped, not composed. The EXIF orientation is not applied.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace fathom::data {

struct Picture {
  int height = 0, width = 0;
  std::vector<std::uint8_t> pixels;  // [height, width, 3], RGB
};

// Format is told by the bytes, not the name. Errors: bad_input (damaged), unsupported (other formats), limit.
Result<Picture> decode_picture(std::string_view bytes, const std::string& where);
Result<Picture> read_picture(const std::filesystem::path& path);
// Antialiased bilinear (triangle filter), as Pillow's BILINEAR.
Picture resize_picture(const Picture& source, int height, int width);

}  // namespace fathom::data
