#include "eval/png.h"

#include <algorithm>
#include <array>

namespace fathom::eval {
namespace {

std::uint32_t crc32_of(std::string_view bytes) {
  static const std::array<std::uint32_t, 256> table = [] {
    std::array<std::uint32_t, 256> made{};
    for (std::uint32_t n = 0; n < 256; ++n) {
      std::uint32_t c = n;
      for (int bit = 0; bit < 8; ++bit) c = (c & 1) != 0 ? 0xEDB88320u ^ (c >> 1) : c >> 1;
      made[n] = c;
    }
    return made;
  }();
  std::uint32_t crc = ~0u;
  for (const char byte : bytes) crc = table[(crc ^ static_cast<unsigned char>(byte)) & 255] ^ (crc >> 8);
  return ~crc;
}

std::uint32_t adler32_of(std::string_view bytes) {
  std::uint32_t a = 1, b = 0;
  for (const char byte : bytes) {
    a = (a + static_cast<unsigned char>(byte)) % 65521;
    b = (b + a) % 65521;
  }
  return b << 16 | a;
}

void put_u32(std::string& out, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift & 255));
}

void put_chunk(std::string& out, const char* type, const std::string& body) {
  put_u32(out, static_cast<std::uint32_t>(body.size()));
  const std::string checked = type + body;
  out += checked;
  put_u32(out, crc32_of(checked));
}

std::string zlib_stored(const std::string& raw) {
  std::string out = "\x78\x01";
  for (std::size_t from = 0; from < raw.size() || from == 0;) {
    const std::size_t count = std::min<std::size_t>(65535, raw.size() - from);
    const auto length = static_cast<std::uint16_t>(count);
    const auto inverse = static_cast<std::uint16_t>(~length);
    out.push_back(from + count == raw.size() ? 1 : 0);
    for (const std::uint16_t word : {length, inverse}) {
      out.push_back(static_cast<char>(word & 255));
      out.push_back(static_cast<char>(word >> 8));
    }
    out.append(raw, from, count);
    from += count;
    if (count == 0) break;
  }
  put_u32(out, adler32_of(raw));
  return out;
}

}  // namespace

std::string png_bytes(const std::uint8_t* rgb, int height, int width) {
  std::string raw;
  const std::size_t row = static_cast<std::size_t>(width) * 3;
  for (int y = 0; y < height; ++y) {
    raw.push_back(0);  // filter: none
    raw.append(reinterpret_cast<const char*>(rgb) + static_cast<std::size_t>(y) * row, row);
  }
  std::string head;
  put_u32(head, static_cast<std::uint32_t>(width));
  put_u32(head, static_cast<std::uint32_t>(height));
  head += std::string("\x08\x02\0\0\0", 5);  // 8 bits, RGB, deflate, no filter method, not interlaced
  std::string out = "\x89PNG\r\n\x1a\n";
  put_chunk(out, "IHDR", head);
  put_chunk(out, "IDAT", zlib_stored(raw));
  put_chunk(out, "IEND", "");
  return out;
}

std::string base64(std::string_view bytes) {
  static const char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k)
      group = group << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    for (std::size_t k = 0; k < 4; ++k)
      out.push_back(i + k <= bytes.size() ? kDigits[group >> (18 - 6 * k) & 63] : '=');
  }
  return out;
}

std::string png_data_uri(const std::uint8_t* rgb, int height, int width) {
  return "data:image/png;base64," + base64(png_bytes(rgb, height, width));
}

}  // namespace fathom::eval
