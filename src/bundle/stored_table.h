// A table's rows as their file holds them: float32, half precision, or int8 with one scale a row. Who needs a few rows
// of many reads and widens those, exactly, and nothing else comes into memory. Thread rule: plain values and pure
// functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace fathom {

class MappedFile;

enum class Stored { f32, f16, bf16, i8 };
std::optional<Stored> stored_as(const std::string& dtype);  // "F32", "F16", "BF16", "I8"

// `count` numbers of `from` as float32; those of i8 times `scale`.
void widen(Stored type, const std::byte* from, std::size_t count, float scale, float* to);

struct StoredTable {
  Stored type = Stored::f32;
  std::uint64_t offset = 0;      // in `file`
  const float* scale = nullptr;  // i8: of each row
  const MappedFile* file = nullptr;
  std::size_t rows = 0, width = 0;

  std::size_t row_bytes() const { return width * (type == Stored::f32 ? 4 : type == Stored::i8 ? 1 : 2); }
  std::uint64_t offset_of(std::size_t row) const { return offset + row * row_bytes(); }
  // `from`: row_bytes() of row `index`, copied from the file.
  void widen_row(std::size_t index, const std::byte* from, float* to) const {
    widen(type, from, width, scale ? scale[index] : 1.0f, to);
  }
};

}  // namespace fathom
