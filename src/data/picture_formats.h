// The two decoders behind picture.h. Thread rule: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "data/picture.h"

namespace fathom::data {

inline constexpr std::uint64_t kMaxPixels = 40'000'000, kMaxPictureBytes = std::uint64_t{1} << 28;

Result<Picture> decode_jpeg(std::string_view bytes, const std::string& where);
Result<Picture> decode_png(std::string_view bytes, const std::string& where);
Result<std::pair<int, int>> jpeg_size(std::string_view bytes, const std::string& where);  // height, width
Result<std::pair<int, int>> png_size(std::string_view bytes, const std::string& where);
// Called with the header's size, before any memory is taken for pixels.
Status check_picture_size(std::uint64_t height, std::uint64_t width, const std::string& where);

}  // namespace fathom::data
