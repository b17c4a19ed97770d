// The chunks of a PNG file one after the other, as they lie: a length that claims more than there is ends with the
// file. Memory: none. Thread rule: plain values. Source: PNG 3rd edition, 5.3.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace fathom::data {

inline constexpr std::size_t kPngSignatureBytes = 8;

struct PngChunk {
  std::string_view name, data;
  std::size_t at = 0;         // of its length, in the file
  bool data_is_whole = true;  // as long as claimed
  bool whole = true;          // the checksum is there too
  bool sum_is_right = false;  // looked at by PngChunks::next for all but pixel data
};

class PngChunks {
 public:
  explicit PngChunks(std::string_view file) : file_(file) {}
  std::optional<PngChunk> next();  // nothing behind IEND, the last one, or one that is no chunk

 private:
  std::string_view file_;
  std::size_t at_ = kPngSignatureBytes;
};

std::string png_chunk_header(std::string_view name, std::size_t length);

}  // namespace fathom::data
