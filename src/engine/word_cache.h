// Rows of a word table that is read from its file: those used last, as they are stored. A row that is found costs no system call
// (most of a microsecond), and texts repeat few words most of the time. Each row has one place, by its id. Thread rule: one worker.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/parts.h"

namespace fathom::engine {

class WordCache {
 public:
  WordCache() = default;
  explicit WordCache(const WordTable& words) : bytes_(words.table.row_bytes()) {
    if (!words.read) return;
    constexpr std::size_t kMostBytes = std::size_t{1} << 20, kMostRows = 2048;
    const std::size_t rows = std::bit_floor(std::clamp<std::size_t>(kMostBytes / std::max<std::size_t>(bytes_, 1), 1, kMostRows));
    ids_.assign(rows, kNone);
    rows_.resize(rows * bytes_);
  }
  // The row as it is stored; through the mapping where the file cannot be read.
  const std::byte* row(const WordTable& words, std::size_t id) {
    if (ids_.empty()) return words.table.row(id);
    const std::size_t place = id % ids_.size();
    std::byte* here = rows_.data() + place * bytes_;
    if (ids_[place] == id) return here;
    ids_[place] = kNone;
    if (!words.table.file->read({words.table.row(id), bytes_}, here)) return words.table.row(id);
    ids_[place] = id;
    return here;
  }

 private:
  static constexpr std::size_t kNone = SIZE_MAX;
  std::size_t bytes_ = 0;
  std::vector<std::size_t> ids_;  // by place
  std::vector<std::byte> rows_;
};

}  // namespace fathom::engine
