#include "data/exif.h"

#include <optional>

#include <zlib.h>

namespace fathom::data {
namespace {

constexpr std::uint32_t kOrientationTag = 0x0112, kShort = 3, kLong = 4;
constexpr std::size_t kEntryBytes = 12;

// `count` bytes at `at` as a number; nothing where they lie outside.
std::optional<std::uint32_t> number(std::string_view bytes, std::size_t at, int count, bool little) {
  if (at > bytes.size() || bytes.size() - at < static_cast<std::size_t>(count)) return std::nullopt;
  std::uint32_t value = 0;
  for (int i = 0; i < count; ++i) {
    const int from = little ? count - 1 - i : i;
    value = value << 8 | static_cast<std::uint8_t>(bytes[at + static_cast<std::size_t>(from)]);
  }
  return value;
}

// The orientation in a TIFF block: byte order, 42, offset of the first directory; its entries of 12 bytes each.
int tiff_orientation(std::string_view tiff) {
  const bool little = tiff.starts_with("II");
  if (!little && !tiff.starts_with("MM")) return 1;
  const auto u16 = [&](std::size_t at) { return number(tiff, at, 2, little); };
  const auto u32 = [&](std::size_t at) { return number(tiff, at, 4, little); };
  if (u16(2) != 42u) return 1;
  const std::size_t directory = u32(4).value_or(0);
  const std::size_t entries = u16(directory).value_or(0);
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t at = directory + 2 + i * kEntryBytes;
    if (at + kEntryBytes > tiff.size()) return 1;
    if (u16(at) != kOrientationTag) continue;
    const auto type = u16(at + 2);
    if ((type != kShort && type != kLong) || u32(at + 4) != 1u) return 1;
    const std::uint32_t value = *(type == kShort ? u16(at + 8) : u32(at + 8));
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

}  // namespace

int jpeg_orientation(std::string_view bytes) {
  constexpr std::string_view kExif("Exif\0\0", 6);
  std::size_t at = 2;  // behind the start-of-image marker
  while (true) {
    if (number(bytes, at, 1, false) != 0xFFu) return 1;
    while (number(bytes, at, 1, false) == 0xFFu) ++at;  // markers may be padded
    const std::uint32_t marker = number(bytes, at++, 1, false).value_or(0xDA);
    if (marker == 0xDA || marker == 0xD9) return 1;                      // scan data or the end: no header follows
    if (marker == 0x01 || (marker >= 0xD0 && marker <= 0xD8)) continue;  // markers without a length
    const std::size_t length = number(bytes, at, 2, false).value_or(0);
    if (length < 2 || bytes.size() - at < length) return 1;
    const std::string_view segment = bytes.substr(at + 2, length - 2);
    if (marker == 0xE1 && segment.starts_with(kExif)) return tiff_orientation(segment.substr(kExif.size()));
    at += length;
  }
}

int png_orientation(std::string_view bytes) {
  std::size_t at = 8;                                     // behind the signature
  while (at < bytes.size() && bytes.size() - at >= 12) {  // length, name, data, checksum
    const std::size_t length = *number(bytes, at, 4, false);
    if (bytes.size() - at - 12 < length) return 1;
    const std::string_view named = bytes.substr(at + 4, 4 + length);
    if (named.starts_with("IEND")) return 1;
    if (named.starts_with("eXIf")) {
      const auto sum = crc32(0, reinterpret_cast<const Bytef*>(named.data()), static_cast<uInt>(named.size()));
      return sum == *number(bytes, at + 8 + length, 4, false) ? tiff_orientation(named.substr(4)) : 1;
    }
    at += 12 + length;
  }
  return 1;
}

void apply_orientation(Picture& picture, int orientation) {
  if (orientation <= 1 || orientation > 8) return;
  const bool turned = orientation >= 5;  // rows become columns
  const bool flip_rows = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  const bool flip_columns = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const auto rows = static_cast<std::size_t>(picture.height), columns = static_cast<std::size_t>(picture.width);
  Picture upright{turned ? picture.width : picture.height, turned ? picture.height : picture.width, {}};
  upright.pixels.resize(picture.pixels.size());
  std::uint8_t* target = upright.pixels.data();
  for (std::size_t y = 0; y < (turned ? columns : rows); ++y)
    for (std::size_t x = 0; x < (turned ? rows : columns); ++x, target += 3) {
      const std::size_t row = turned ? x : y, column = turned ? y : x;
      const std::size_t from_row = flip_rows ? rows - 1 - row : row,
                        from_column = flip_columns ? columns - 1 - column : column;
      const std::uint8_t* source = picture.pixels.data() + (from_row * columns + from_column) * 3;
      target[0] = source[0], target[1] = source[1], target[2] = source[2];
    }
  picture = std::move(upright);
}

}  // namespace fathom::data
