// Rows of a word table that is read from its file: those used last, as they are stored. A row that is found costs no
// system call (most of a microsecond), and texts repeat few words most of the time. Each row has one place, by its id;
// places that no row came to take no memory. What is read is compared with the row's hash; the mapping is never
// touched. Thread rule: one worker.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "base/file.h"
#include "engine/checksum.h"
#include "engine/parts.h"
#include "tensor/tensor.h"

namespace fathom::engine {

class WordCache {
 public:
  explicit WordCache(const WordTable& words) : bytes_(words.table.row_bytes()) {
    if (words.here != nullptr || words.copied != nullptr) return;
    constexpr std::size_t kMostBytes = std::size_t{1} << 20, kMostRows = 2048;
    const std::size_t rows = std::bit_floor(std::clamp<std::size_t>(kMostBytes / bytes_, 1, kMostRows));
    holds_ = Buffer<std::uint64_t>(rows);
    rows_ = Buffer<std::uint8_t>(rows * bytes_);
  }
  // The row as it is stored. Where the file does not give it, or other bytes than the bundle's, some row, and
  // take_failed() says its id.
  const std::byte* row(const WordTable& words, std::size_t id) {
    if (words.copied != nullptr) return words.copied + id * bytes_;
    const std::size_t place = id % holds_.size();
    auto* here = reinterpret_cast<std::byte*>(rows_.data() + place * bytes_);
    if (holds_[place] == id + 1) return here;
    holds_[place] = 0;
    if (words.table.file->read(words.table.offset_of(id), bytes_, here) &&
        (words.checks == nullptr || quick_hash(here, bytes_) == words.checks[id]))
      holds_[place] = id + 1;
    else
      failed_ = id;
    return here;
  }
  std::optional<std::size_t> take_failed() { return std::exchange(failed_, std::nullopt); }

 private:
  std::size_t bytes_;
  Buffer<std::uint64_t> holds_;  // by place: id + 1, or 0
  Buffer<std::uint8_t> rows_;
  std::optional<std::size_t> failed_;
};

}  // namespace fathom::engine
