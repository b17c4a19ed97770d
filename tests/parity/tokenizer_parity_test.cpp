// The ids of committed tokenizers and texts beside those of the Hugging Face library (tokenizer_reference.py fixtures).
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "data/tokenizer.h"

namespace fathom::data {
namespace {

constexpr int kUncut = 1 << 30;
constexpr std::size_t kTexts = 1000;

fs::path fixtures() {
  const char* source = std::getenv("FATHOM_SOURCE_DIR");
  return fs::path(source != nullptr ? source : ".") / "tests" / "parity" / "tokenizers";
}

std::string must_read(const fs::path& path) {
  auto bytes = read_file(path, 8u << 20);
  EXPECT_TRUE(bytes.has_value()) << path << " is needed";
  return bytes.has_value() ? *bytes : "";
}

std::vector<std::string> texts() {
  const std::string bytes = must_read(fixtures() / "texts.bin");
  std::vector<std::string> list;
  for (std::size_t at = 0; at + 4 <= bytes.size();) {
    std::uint32_t size = 0;
    std::memcpy(&size, bytes.data() + at, 4);
    list.push_back(bytes.substr(at + 4, size));
    at += 4 + size;
  }
  EXPECT_EQ(list.size(), kTexts);
  return list;
}

std::vector<std::string> lines(const fs::path& path) {
  std::istringstream in(must_read(path));
  std::vector<std::string> list;
  for (std::string line; std::getline(in, line);) list.push_back(line);
  return list;
}

std::string joined(const std::vector<std::int32_t>& ids, const char* before = "") {
  std::string line = before;
  for (const std::int32_t id : ids) line += (line.empty() ? "" : " ") + std::to_string(id);
  return line;
}

class TokenizerParity : public testing::TestWithParam<const char*> {
 protected:
  static Tokenizer tokenizer() {
    auto read = Tokenizer::read(fixtures() / GetParam());
    EXPECT_TRUE(read.has_value()) << (read.has_value() ? "" : read.error().message);
    return *read;
  }
};

TEST_P(TokenizerParity, EveryTextHasTheIdsOfTheReference) {
  const std::vector<std::string> all = texts(), wanted = lines(fixtures() / GetParam() / "ids.txt");
  ASSERT_EQ(wanted.size(), all.size());
  const Tokenizer ours = tokenizer();
  std::vector<std::int32_t> ids;
  for (std::size_t i = 0; i < all.size(); ++i) {
    ids.clear();
    EXPECT_FALSE(ours.encode(all[i], kUncut, ids));
    ASSERT_EQ(joined(ids), wanted[i]) << "text " << i << ": " << all[i];
  }
}

TEST_P(TokenizerParity, PairsAreCutAndTypedAsByTheReference) {
  const std::vector<std::string> all = texts(), wanted = lines(fixtures() / GetParam() / "pairs_24.txt");
  ASSERT_EQ(wanted.size(), 200u);
  const Tokenizer ours = tokenizer();
  std::size_t cut = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    std::vector<std::int32_t> ids, types;
    cut += ours.encode_pair(all[2 * i], all[2 * i + 1], 24, ids, types) ? 1 : 0;
    ASSERT_EQ(joined(ids) + joined(types, " |"), wanted[i]) << "pair " << i;
  }
  EXPECT_GT(cut, 20u);
}

TEST_P(TokenizerParity, WrittenAndReadAgainItGivesTheSameIds) {
  const Tokenizer ours = tokenizer();
  const fs::path folder = fs::temp_directory_path() / ("fathom-tokenizer-" + std::string(GetParam()));
  fs::create_directories(folder);
  ASSERT_TRUE(write_file_atomic(folder / "tokenizer.json", ours.to_json()).has_value());
  const auto again = Tokenizer::read(folder);
  fs::remove_all(folder);
  ASSERT_TRUE(again.has_value()) << again.error().message;
  EXPECT_EQ(again->to_json(), ours.to_json());
  for (const std::string& text : texts()) {
    std::vector<std::int32_t> a, b, a_types, b_types;
    ours.encode_pair(text, "and more", 40, a, a_types);
    again->encode_pair(text, "and more", 40, b, b_types);
    ASSERT_EQ(a, b);
    ASSERT_EQ(a_types, b_types);
  }
}

TEST_P(TokenizerParity, ThreadsShareOneTokenizer) {
  const std::vector<std::string> all = texts(), wanted = lines(fixtures() / GetParam() / "ids.txt");
  const Tokenizer ours = tokenizer();
  std::vector<std::size_t> wrong(4, 0);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < wrong.size(); ++t)
    threads.emplace_back([&, t] {
      std::vector<std::int32_t> ids;
      for (std::size_t i = t; i < all.size(); i += 2) {
        ids.clear();
        ours.encode(all[i], kUncut, ids);
        wrong[t] += joined(ids) == wanted[i] ? 0 : 1;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<std::size_t>(4, 0));
}

INSTANTIATE_TEST_SUITE_P(Families, TokenizerParity,
                         testing::Values("bert", "bert_cased_added", "roberta", "roberta_added"),
                         [](const auto& given) { return std::string(given.param); });

// folders.json: files that contradict one another, and what transformers makes of them (folder_reference.py).
TEST(TokenizerFolders, AreReadAsTransformersReadsThem) {
  const auto all = parse_json(must_read(fixtures() / ".." / "folders.json"), "folders.json");
  ASSERT_TRUE(all.has_value()) << all.error().message;
  const fs::path folder = fs::temp_directory_path() / ("fathom-folders-" + std::to_string(::getpid()));
  for (const Json& one : (*all)["cases"]) {
    fs::remove_all(folder);
    fs::create_directories(folder);
    for (const auto& [file, content] : one["files"].items())
      ASSERT_TRUE(write_file_atomic(folder / file, (*all)["contents"][content.get<std::size_t>()].get<std::string>()));
    const auto ours = Tokenizer::read(folder);
    ASSERT_TRUE(ours.has_value()) << one["name"] << ": " << ours.error().message;
    const int most = one["most"].get<int>();
    for (std::size_t i = 0; i < one["texts"].size(); ++i) {
      std::vector<std::int32_t> ids;
      ours->encode((*all)["texts"][i].get<std::string>(), most, ids);
      EXPECT_EQ(Json(ids), one["texts"][i]) << one["name"] << ", text " << i;
    }
    for (std::size_t i = 0; i < one["pairs"].size(); ++i) {
      std::vector<std::int32_t> ids, types;
      const Json& pair = (*all)["pairs"][i];
      ours->encode_pair(pair[0].get<std::string>(), pair[1].get<std::string>(), most, ids, types);
      EXPECT_EQ(Json({ids, types}), one["pairs"][i]) << one["name"] << ", pair " << i;
    }
  }
  fs::remove_all(folder);
}

}  // namespace
}  // namespace fathom::data
