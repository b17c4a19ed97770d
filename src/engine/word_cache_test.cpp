#include "engine/word_cache.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <vector>

#include "base/file.h"
#include "base/random.h"

namespace fathom::engine {
namespace {

// A table of `rows` rows in a file of its own, of which every row says its number in all its bytes.
struct Table {
  fs::path path = fs::temp_directory_path() / ("fathom_words_" + std::to_string(::getpid()));
  MappedFile file;
  WordTable words;
  std::vector<std::uint64_t> checks;

  Table(std::size_t rows, std::size_t width) {
    std::string bytes(16, '\0');
    for (std::size_t id = 0; id < rows; ++id)
      for (std::size_t i = 0; i < width; ++i) {
        const std::uint32_t number = static_cast<std::uint32_t>(id * 1000 + i);
        bytes.append(reinterpret_cast<const char*>(&number), 4);
      }
    EXPECT_TRUE(write_file_atomic(path, bytes));
    file = std::move(*MappedFile::open(path));
    words.table = {Stored::f32, 16, nullptr, &file, rows, width};
    for (std::size_t id = 0; id < rows; ++id)
      checks.push_back(quick_hash(file.bytes().data() + words.table.offset_of(id), words.table.row_bytes()));
    words.checks = checks.data();
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
    const Table table(rows, width);
    WordCache cache(table.words);
    for (int i = 0; i < (width > 1000 ? 300 : 20'000); ++i) {
      const std::size_t id = random.below(2) == 0 ? random.below(rows) : random.below(std::min<std::size_t>(rows, 7));
      ASSERT_TRUE(is_row(cache.row(table.words, id), id, width)) << id << " of " << width;
    }
  }
}

TEST(WordCache, KeepsWhatItReadAndOnlyThat) {
  const Table table(5000, 96);
  WordCache cache(table.words);
  const std::byte* first = cache.row(table.words, 7);
  EXPECT_EQ(cache.row(table.words, 7), first);
  const std::byte* other = cache.row(table.words, 7 + 2048);
  EXPECT_EQ(other, first) << "one place";
  EXPECT_TRUE(is_row(other, 7 + 2048, 96));
  EXPECT_TRUE(is_row(cache.row(table.words, 7), 7, 96));
}

TEST(WordCache, ACopiedTableIsUsedWhereItLies) {
  Table table(50, 8);
  std::vector<std::byte> rows(50 * 32);
  ASSERT_TRUE(table.file.read(16, rows.size(), rows.data()));
  table.words.copied = rows.data();
  WordCache cache(table.words);
  fs::resize_file(table.path, 0);
  EXPECT_EQ(cache.row(table.words, 7), rows.data() + 7 * 32);
  EXPECT_FALSE(cache.take_failed());
}

TEST(WordCache, AFileThatGivesNoMoreIsAnErrorAndNoSignal) {
  Table table(50, 8);
  WordCache cache(table.words);
  fs::resize_file(table.path, 16);
  (void)cache.row(table.words, 9);
  EXPECT_EQ(cache.take_failed(), 9u);
  EXPECT_FALSE(cache.take_failed());
}

TEST(WordCache, ARowThatChangedIsFound) {
  Table table(50, 8);
  WordCache cache(table.words);
  { std::fstream(table.path, std::ios::in | std::ios::out).seekp(16 + 9 * 32 + 5).put('!'); }
  (void)cache.row(table.words, 8);
  EXPECT_FALSE(cache.take_failed());
  (void)cache.row(table.words, 9);
  EXPECT_EQ(cache.take_failed(), 9u);
  (void)cache.row(table.words, 9);
  EXPECT_EQ(cache.take_failed(), 9u) << "it is not kept as if it were good";
}

}  // namespace
}  // namespace fathom::engine
