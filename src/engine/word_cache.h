// Rows of a word table that is read from its file: those used last, as they are stored. A row that is found costs no
// system call (most of a microsecond), and texts repeat few words most of the time. Each row has one place, by its id;
// places that no row came to take no memory. Thread rule: one worker.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/file.h"
#include "engine/parts.h"
#include "tensor/tensor.h"

namespace fathom::engine {

class WordCache {
 public:
  explicit WordCache(const WordTable& words) : bytes_(words.table.row_bytes()) {
    if (!words.read) return;
    constexpr std::size_t kMostBytes = std::size_t{1} << 20, kMostRows = 2048;
    const std::size_t rows = std::bit_floor(std::clamp<std::size_t>(kMostBytes / bytes_, 1, kMostRows));
    holds_ = Buffer<std::uint64_t>(rows);
    rows_ = Buffer<std::uint8_t>(rows * bytes_);
  }
  // The row as it is stored; through the mapping where the file cannot be read.
  const std::byte* row(const WordTable& words, std::size_t id) {
    if (holds_.size() == 0) return words.table.row(id);
    const std::size_t place = id % holds_.size();
    auto* here = reinterpret_cast<std::byte*>(rows_.data() + place * bytes_);
    if (holds_[place] == id + 1) return here;
    holds_[place] = 0;
    if (!words.table.file->read({words.table.row(id), bytes_}, here)) return words.table.row(id);
    holds_[place] = id + 1;
    return here;
  }

 private:
  std::size_t bytes_;
  Buffer<std::uint64_t> holds_;  // by place: id + 1, or 0
  Buffer<std::uint8_t> rows_;
};

}  // namespace fathom::engine
