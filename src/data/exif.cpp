#include "data/exif.h"

#include <iterator>
#include <optional>
#include <string>

#include <zlib.h>

#include "data/png_chunks.h"

namespace fathom::data {
namespace {

constexpr std::uint32_t kOrientationTag = 0x0112;
constexpr std::string_view kExif("Exif\0\0", 6);
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

// Bytes of one value of a TIFF type; 0: a type that is passed over.
std::size_t unit_bytes(std::uint32_t type) {
  constexpr std::size_t kBytes[] = {0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8};
  return type < std::size(kBytes) ? kBytes[type] : 0;
}

// 1 to 8 of a value that is a whole number (short, long, their signed kin, a directory's offset); else 1.
int upright_of(std::string_view tiff, std::size_t at, std::uint32_t type, bool little) {
  constexpr std::uint32_t kShort = 3, kLong = 4, kSignedByte = 6, kSignedShort = 8, kSignedLong = 9, kOffset = 13;
  const bool whole = type == kShort || type == kLong || type == kSignedByte || type == kSignedShort ||
                     type == kSignedLong || type == kOffset;
  if (!whole) return 1;
  const std::uint32_t value = number(tiff, at, static_cast<int>(unit_bytes(type)), little).value_or(1);
  return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
}

// The orientation in a TIFF block: byte order, 42, offset of the first directory; its entries of 12 bytes each. The
// first entry that can be read counts, of several values the first. Nothing: there is no such tag.
std::optional<int> tiff_orientation(std::string_view tiff) {
  while (tiff.starts_with(kExif)) tiff.remove_prefix(kExif.size());
  const bool little = tiff.starts_with("II");
  if (!little && !tiff.starts_with("MM")) return std::nullopt;
  const auto u16 = [&](std::size_t at) { return number(tiff, at, 2, little); };
  const auto u32 = [&](std::size_t at) { return number(tiff, at, 4, little); };
  if (number(tiff, 2, 2, true) != 42u && number(tiff, 2, 2, false) != 42u) return std::nullopt;
  const std::size_t directory = u32(4).value_or(0);
  const std::size_t entries = u16(directory).value_or(0);
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t at = directory + 2 + i * kEntryBytes;
    if (at + kEntryBytes > tiff.size()) return std::nullopt;
    if (u16(at) != kOrientationTag) continue;
    const std::uint32_t type = *u16(at + 2);
    const std::uint64_t bytes = std::uint64_t{unit_bytes(type)} * *u32(at + 4);
    if (bytes == 0) continue;
    const std::size_t value = bytes > 4 ? *u32(at + 8) : at + 8;
    if (bytes > tiff.size()) continue;
    if (value > tiff.size() || tiff.size() - value < bytes) return std::nullopt;
    return upright_of(tiff, value, type, little);
  }
  return std::nullopt;
}

// In XMP, a text: tiff:Orientation="6" or tiff:Orientation>6.
int xmp_orientation(std::string_view xmp) {
  constexpr std::string_view kName = "tiff:Orientation";
  for (std::size_t at = xmp.find(kName); at != std::string_view::npos; at = xmp.find(kName, at + 1)) {
    std::string_view rest = xmp.substr(at + kName.size());
    if (rest.starts_with("=\""))
      rest.remove_prefix(2);
    else if (rest.starts_with(">"))
      rest.remove_prefix(1);
    else
      continue;
    if (rest.empty() || rest[0] < '0' || rest[0] > '9') continue;
    return rest[0] >= '1' && rest[0] <= '8' ? rest[0] - '0' : 1;
  }
  return 1;
}

// A text that zlib packed, at most 1 MiB of it; what is damaged is empty.
std::string unpacked(std::string_view packed) {
  std::string out(std::size_t{1} << 20, '\0');
  auto size = static_cast<uLongf>(out.size());
  auto from = static_cast<uLong>(packed.size());
  const int code =
      uncompress2(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(packed.data()), &from);
  out.resize(code == Z_OK ? size : 0);
  return out;
}

// A text chunk's text where its key is `key`: tEXt, zTXt or iTXt. Of the last one, which is unpacked only then.
class PngText {
 public:
  explicit PngText(std::string_view key) : key_(key) {}
  void see(const PngChunk& chunk) {
    if (!chunk.data.starts_with(key_) || chunk.data.size() <= key_.size() || chunk.data[key_.size()] != '\0') return;
    std::string_view rest = chunk.data.substr(key_.size() + 1);
    if (chunk.name == "tEXt") {
      text_ = rest, packed_ = false;
    } else if (chunk.name == "zTXt" && rest.starts_with('\0')) {
      text_ = rest.substr(1), packed_ = true;
    } else if (chunk.name == "iTXt" && rest.size() >= 2) {
      const bool packed = rest[0] != '\0';
      if (packed && rest[1] != '\0') return;
      rest.remove_prefix(2);
      for (int part = 0; part < 2; ++part) {  // language, translated key
        const std::size_t end = rest.find('\0');
        if (end == std::string_view::npos) return;
        rest.remove_prefix(end + 1);
      }
      text_ = rest, packed_ = packed;
    }
  }
  std::string text() const { return packed_ ? unpacked(text_) : std::string(text_); }

 private:
  std::string_view key_, text_;
  bool packed_ = false;
};

// ImageMagick's way to keep a profile in a text: three lines (empty, name, length), then hexadecimal digits.
std::string from_raw_profile(const std::string& text) {
  std::size_t at = 0;
  for (int line = 0; line < 3; ++line) {
    at = text.find('\n', at);
    if (at++ == std::string::npos) return "";
  }
  std::string bytes;
  int high = -1;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) continue;
    if (high >= 0) bytes.push_back(static_cast<char>(high << 4 | digit));
    high = high >= 0 ? -1 : digit;
  }
  return bytes;
}

}  // namespace

int jpeg_orientation(std::string_view bytes) {
  constexpr std::string_view kXmp("http://ns.adobe.com/xap/1.0/\0", 29);
  std::string exif;  // several segments are one
  std::string_view xmp;
  for (std::size_t at = 2;;) {  // behind the start-of-image marker
    if (number(bytes, at, 1, false) != 0xFFu) break;
    while (number(bytes, at, 1, false) == 0xFFu) ++at;  // markers may be padded
    const std::uint32_t marker = number(bytes, at++, 1, false).value_or(0xDA);
    if (marker == 0xDA || marker == 0xD9) break;                         // scan data or the end: no header follows
    if (marker == 0x01 || (marker >= 0xD0 && marker <= 0xD8)) continue;  // markers without a length
    const std::size_t length = number(bytes, at, 2, false).value_or(0);
    if (length < 2 || bytes.size() - at < length) break;
    const std::string_view segment = bytes.substr(at + 2, length - 2);
    if (marker == 0xE1 && segment.starts_with(kExif)) exif += segment.substr(kExif.size());
    if (marker == 0xE1 && segment.starts_with(kXmp)) xmp = segment.substr(kXmp.size());
    at += length;
  }
  if (const auto found = tiff_orientation(exif)) return *found;
  return xmp_orientation(xmp);
}

int png_orientation(std::string_view bytes) {
  PngText profile("Raw profile type exif"), xmp("XML:com.adobe.xmp");
  std::optional<std::string_view> exif;
  PngChunks chunks(bytes);
  bool behind_pixels = false;  // where Pillow looks at no checksum
  while (const auto chunk = chunks.next()) {
    behind_pixels = behind_pixels || chunk->name == "IDAT";
    if (!chunk->data_is_whole || !(chunk->sum_is_right || behind_pixels)) continue;
    if (chunk->name == "eXIf") exif = chunk->data;
    profile.see(*chunk);
    xmp.see(*chunk);
  }
  if (const auto found = exif ? tiff_orientation(*exif) : tiff_orientation(from_raw_profile(profile.text())))
    return *found;
  return xmp_orientation(xmp.text());
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
