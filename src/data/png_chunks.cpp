#include "data/png_chunks.h"

#include <zlib.h>

#include <algorithm>

namespace fathom::data {
namespace {

std::uint32_t big_endian(std::string_view bytes) {
  std::uint32_t value = 0;
  for (const char byte : bytes.substr(0, 4)) value = value << 8 | static_cast<std::uint8_t>(byte);
  return value;
}

bool is_letter(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }

}  // namespace

std::optional<PngChunk> PngChunks::next() {
  if (at_ > file_.size() || file_.size() - at_ < 8) return std::nullopt;
  PngChunk chunk;
  chunk.at = at_;
  chunk.name = file_.substr(at_ + 4, 4);
  if (!std::all_of(chunk.name.begin(), chunk.name.end(), is_letter) || chunk.name == "IEND") return std::nullopt;
  const std::uint64_t claimed = big_endian(file_.substr(at_)), left = file_.size() - at_ - 8;
  chunk.data = file_.substr(at_ + 8, static_cast<std::size_t>(std::min(claimed, left)));
  chunk.data_is_whole = claimed <= left;
  chunk.whole = claimed + 4 <= left;
  if (chunk.whole && chunk.name != "IDAT") {
    const std::string_view summed = file_.substr(at_ + 4, chunk.data.size() + 4);
    const auto sum = crc32(0, reinterpret_cast<const Bytef*>(summed.data()), static_cast<uInt>(summed.size()));
    chunk.sum_is_right = sum == big_endian(file_.substr(at_ + 8 + chunk.data.size()));
  }
  at_ = chunk.whole ? at_ + chunk.data.size() + 12 : file_.size();
  return chunk;
}

std::string png_chunk_header(std::string_view name, std::size_t length) {
  std::string header;
  for (int shift = 24; shift >= 0; shift -= 8) header.push_back(static_cast<char>(length >> shift & 255));
  return header.append(name);
}

}  // namespace fathom::data
