// PNG files by libpng, for the few small pictures of a report. Errors: an empty text where libpng refuses (no pixels).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace fathom::eval {

std::string png_bytes(const std::uint8_t* rgb, int height, int width);
std::string base64(std::string_view bytes);
std::string png_data_uri(const std::uint8_t* rgb, int height, int width);  // "data:image/png;base64,...", or empty

}  // namespace fathom::eval
