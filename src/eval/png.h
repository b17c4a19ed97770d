// PNG files without a compressor: RGB pixels in stored deflate blocks, for the few small pictures of a report.
// Source: PNG specification (RFC 2083), zlib (RFC 1950) and deflate (RFC 1951) stored blocks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace fathom::eval {

std::string png_bytes(const std::uint8_t* rgb, int height, int width);
std::string base64(std::string_view bytes);
std::string png_data_uri(const std::uint8_t* rgb, int height, int width);  // "data:image/png;base64,..."

}  // namespace fathom::eval
