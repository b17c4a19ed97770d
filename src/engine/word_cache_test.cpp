#include "engine/word_cache.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>

#include "base/file.h"
#include "base/random.h"

namespace fathom::engine {
namespace {

// A table of `rows` rows in a file of its own, of which every row says its number in all its bytes.
struct Table {
  fs::path path = fs::temp_directory_path() / ("fathom_words_" + std::to_string(::getpid()));
  MappedFile file;
  WordTable words;

  Table(std::size_t rows, std::size_t width, bool read) {
    std::string bytes(16, '\0');
    for (std::size_t id = 0; id < rows; ++id)
      for (std::size_t i = 0; i < width; ++i) {
        const std::uint32_t number = static_cast<std::uint32_t>(id * 1000 + i);
        bytes.append(reinterpret_cast<const char*>(&number), 4);
      }
    EXPECT_TRUE(write_file_atomic(path, bytes));
    file = std::move(*MappedFile::open(path));
    words.table = {Stored::f32, file.bytes().data() + 16, nullptr, &file, rows, width};
    words.read = read;
  }
  ~Table() { fs::remove(path); }
};

bool is_row(const std::byte* row, std::size_t id, std::size_t width) {
  for (std::size_t i = 0; i < width; ++i) {
    std::uint32_t number = 0;
    std::memcpy(&number, row + 4 * i, 4);
    if (number != id * 1000 + i) return false;
  }
  return true;
}

TEST(WordCache, EveryRowIsTheFiles) {
  Random random(5, "words");
  for (const std::size_t width : {3, 96, 5000, 300'000}) {  // 2,048 places, fewer, and one alone
    const std::size_t rows = width > 10'000 ? 5 : width > 1000 ? 120 : 5000;
    const Table table(rows, width, true);
    WordCache cache(table.words);
    for (int i = 0; i < (width > 1000 ? 300 : 20'000); ++i) {
      const std::size_t id = random.below(2) == 0 ? random.below(rows) : random.below(std::min<std::size_t>(rows, 7));
      ASSERT_TRUE(is_row(cache.row(table.words, id), id, width)) << id << " of " << width;
    }
  }
}

TEST(WordCache, KeepsWhatItReadAndOnlyThat) {
  const Table table(5000, 96, true);
  WordCache cache(table.words);
  const std::byte* first = cache.row(table.words, 7);
  EXPECT_NE(first, table.words.table.row(7)) << "read, not mapped";
  EXPECT_EQ(cache.row(table.words, 7), first);
  const std::byte* other = cache.row(table.words, 7 + 2048);
  EXPECT_EQ(other, first) << "one place";
  EXPECT_TRUE(is_row(other, 7 + 2048, 96));
  EXPECT_TRUE(is_row(cache.row(table.words, 7), 7, 96));
}

TEST(WordCache, OfAMappedTableHoldsNothing) {
  const Table table(50, 8, false);
  WordCache cache(table.words);
  EXPECT_EQ(cache.row(table.words, 7), table.words.table.row(7));
}

TEST(WordCache, AFileThatGivesNoMoreIsReadThroughTheMapping) {
  Table table(50, 8, true);
  WordCache cache(table.words);
  fs::resize_file(table.path, 16);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(cache.row(table.words, 9), table.words.table.row(9));
}

}  // namespace
}  // namespace fathom::engine
