// Hostile-safe JPEG and PNG decoding to upright RGB, and resizing. The header is probed first; at most 40 Mpx are read.
// Pixels are those of Pillow's Image.open(...), exif_transpose, convert("RGB"): palettes and grey become RGB, CMYK is
// taken as Adobe writes it (inverted, whether marked or not), alpha is dropped, not composed, and of 16 bits the high
// byte stays, but of 16-bit grey, which is clipped at 255 (nearly all white): models were trained on Pillow's pixels.
// What Pillow loads in spite of damage (lost restarts, a tail cut off behind the pixels) is loaded, with its pixels.
// Time and memory: what the header says is checked against the file's size before memory is taken, sides are at most
// 65535, scans of a progressive JPEG 16 to 100 by its size. Thread rule: pure functions.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace fathom::data {

struct Picture {
  int height = 0, width = 0;
  std::vector<std::uint8_t> pixels;  // [height, width, 3], RGB
};

// Pillow's numbers, which preprocessor_config.json uses too.
enum class Filter : int { nearest = 0, bilinear = 2, bicubic = 3 };

// Format is told by the bytes, not the name. Errors: bad_input (damaged), unsupported (other formats), limit.
Result<Picture> decode_picture(std::string_view bytes, const std::string& where);
Result<Picture> read_picture(const std::filesystem::path& path);
// Height and width by the header alone, before it is turned upright. Errors as decode_picture's.
Result<std::pair<int, int>> picture_size(std::string_view bytes, const std::string& where);
// Byte for byte Pillow 13's resize((width, height), filter): bilinear and bicubic widen when shrinking (antialiased).
// Memory beside source and result: no more than the larger of the two, and 4 bytes per source row or column.
Picture resize_picture(const Picture& source, int height, int width, Filter filter = Filter::bilinear);

}  // namespace fathom::data
