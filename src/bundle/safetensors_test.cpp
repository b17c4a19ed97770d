#include "bundle/safetensors.h"

#include <gtest/gtest.h>

#include <unistd.h>
#include <cmath>

#include <cstring>
#include <ctime>

namespace fathom {
namespace {

namespace fs = std::filesystem;

class SafeTensorsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("fathom_safetensors_" + std::to_string(::getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  Result<std::shared_ptr<const SafeTensors>> open(const std::string& bytes) {
    const fs::path path = folder_ / "x.safetensors";
    fs::remove(path);
    FILE* file = std::fopen(path.c_str(), "wb");
    std::fwrite(bytes.data(), 1, bytes.size(), file);
    std::fclose(file);
    return SafeTensors::open(path);
  }
  // A file with this header (padded to 8) and `data` bytes of zeros.
  static std::string file_of(std::string header, std::size_t data) {
    header.append((8 - header.size() % 8) % 8, ' ');
    std::string bytes(8, '\0');
    const std::uint64_t length = header.size();
    std::memcpy(bytes.data(), &length, 8);
    return bytes + header + std::string(data, '\0');
  }
  static std::string entry(const std::string& name, const std::string& shape, const std::string& offsets,
                           const std::string& dtype = "F32") {
    return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}";
  }
  void refused(const std::string& bytes, const std::vector<std::string>& words, Code code = Code::corrupt_bundle) {
    const auto opened = open(bytes);
    ASSERT_FALSE(opened.has_value()) << words[0];
    EXPECT_EQ(opened.error().code, code) << opened.error().message;
    EXPECT_NE(opened.error().message.find("x.safetensors"), std::string::npos);
    for (const auto& word : words)
      EXPECT_NE(opened.error().message.find(word), std::string::npos)
          << "'" << word << "' not in: " << opened.error().message;
  }

  fs::path folder_;
};

const std::vector<float> kSix = {1, 2, 3, 4, 5, 6};
const float kOne = 7;

std::string small_file() {
  return safetensors_bytes(
      std::vector<NamedTensor>{{"b", {kSix.data(), {2, 3}}}, {"a", {&kOne, {}}}, {"empty", {nullptr, {0, 4}}}});
}

TEST_F(SafeTensorsTest, RoundTrip) {
  const std::string bytes = small_file();
  EXPECT_EQ(bytes, small_file());
  std::uint64_t header = 0;
  std::memcpy(&header, bytes.data(), 8);
  EXPECT_EQ(header % 8, 0u);
  const auto opened = open(bytes);
  ASSERT_TRUE(opened.has_value()) << opened.error().message;
  EXPECT_EQ((*opened)->all().size(), 3u);
  const TensorView* b = (*opened)->find("b");
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(b->shape, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(std::vector<float>(b->data, b->data + 6), kSix);
  EXPECT_EQ(*(*opened)->find("a")->data, 7.0f);
  EXPECT_EQ((*opened)->find("empty")->elements(), 0);
  EXPECT_EQ((*opened)->find("c"), nullptr);
  EXPECT_EQ((*opened)->file_bytes().size(), bytes.size());
}

TEST_F(SafeTensorsTest, AcceptsAnyEntryOrderPaddingAndMetadata) {
  const auto opened = open(file_of("{\"__metadata__\":{\"format\":\"pt\"}," + entry("second", "[1]", "[4,8]") + "," +
                                       entry("first", "[1]", "[0,4]") + "}        ",
                                   8));
  ASSERT_TRUE(opened.has_value()) << opened.error().message;
  EXPECT_EQ((*opened)->all().size(), 2u);
  EXPECT_TRUE(open(file_of("{}", 0)).has_value());
}

TEST_F(SafeTensorsTest, EveryTruncationIsRefused) {
  const std::string bytes = small_file();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto opened = open(bytes.substr(0, size));
    ASSERT_FALSE(opened.has_value()) << size;
    EXPECT_EQ(opened.error().code, Code::corrupt_bundle) << size;
  }
  EXPECT_FALSE(open(bytes + std::string(4, '\0')).has_value());
}

TEST_F(SafeTensorsTest, EveryHeaderBitFlipIsRefusedOrConsistent) {
  const std::string bytes = small_file();
  const std::size_t header_end = bytes.size() - 28;
  int refused_count = 0;
  for (std::size_t bit = 0; bit < header_end * 8; ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    const auto opened = open(flipped);
    if (!opened.has_value()) {
      ++refused_count;
      EXPECT_FALSE(opened.error().message.empty());
      continue;
    }
    // Loaded (a changed name, say): every view must lie inside the file and the views must fill it.
    const auto file = (*opened)->file_bytes();
    std::int64_t elements = 0;
    for (const auto& [name, view] : (*opened)->all()) {
      elements += view.elements();
      if (view.data == nullptr) continue;  // unaligned: copied when it is asked for
      const auto* begin = reinterpret_cast<const std::byte*>(view.data);
      ASSERT_GE(begin, file.data());
      ASSERT_LE(begin + 4 * view.elements(), file.data() + file.size());
    }
    EXPECT_LE(elements, 7);
  }
  EXPECT_GT(refused_count, 500);
}

TEST_F(SafeTensorsTest, LyingLengths) {
  for (const std::uint64_t length :
       {std::uint64_t{0}, std::uint64_t{7}, std::uint64_t{1} << 31, std::uint64_t{1} << 63, ~std::uint64_t{0},
        std::uint64_t{100'000'001}, static_cast<std::uint64_t>(small_file().size() - 7)}) {
    std::string bytes = small_file();
    std::memcpy(bytes.data(), &length, 8);
    refused(bytes, {"header"});
  }
}

TEST_F(SafeTensorsTest, RangesMustFillTheData) {
  refused(file_of("{" + entry("a", "[2]", "[0,8]") + "," + entry("b", "[1]", "[4,8]") + "}", 8),
          {"'b'", "4..8", "overlap", "8"});
  refused(file_of("{" + entry("a", "[1]", "[0,4]") + "," + entry("b", "[1]", "[8,12]") + "}", 12),
          {"'b'", "8..12", "hole", "4"});
  refused(file_of("{" + entry("a", "[1]", "[4,8]") + "}", 8), {"'a'", "hole"});
  refused(file_of("{" + entry("a", "[1]", "[0,4]") + "}", 8), {"end at byte 4", "8"});
  refused(file_of("{" + entry("a", "[1]", "[0,4]") + "}", 0), {"'a'", "0..4", "outside"});
  refused(file_of("{" + entry("a", "[1]", "[4,0]") + "}", 4), {"'a'", "4..0"});
  refused(file_of("{}", 4), {"end at byte 0"});
  refused(file_of("{" + entry("a", "[3]", "[0,8]") + "}", 8), {"'a'", "[3]", "needs 12", "give 8"});
}

TEST_F(SafeTensorsTest, HugeShapes) {
  refused(file_of("{" + entry("a", "[4294967296,4294967296]", "[0,4]") + "}", 4), {"'a'", "impossibly large"});
  refused(file_of("{" + entry("a", "[4611686018427387904]", "[0,0]") + "}", 0), {"'a'", "impossibly large"});
  refused(file_of("{" + entry("a", "[18446744073709551615]", "[0,4]") + "}", 4), {"'a'", "impossibly large"});
  refused(file_of("{" + entry("a", "[99999999999999999999]", "[0,4]") + "}", 4), {"'a'", "number"});
  refused(file_of("{" + entry("a", "[1,1,1,1,1,1,1,1,1]", "[0,4]") + "}", 4), {"'a'", "more than 8"});
  EXPECT_TRUE(open(file_of("{" + entry("a", "[1,1,1,1,1,1,1,1]", "[0,4]") + "}", 4)).has_value());
}

TEST_F(SafeTensorsTest, HostileJson) {
  refused(file_of("[]", 0), {"'{'"});
  refused(file_of("\xEF\xBB\xBF{}", 0), {"'{'"});
  refused(file_of("{\"a\":", 0), {"valid JSON"});
  refused(file_of("{} x", 0), {"valid JSON"});
  refused(file_of("{\"a\":1}", 0), {"'a'", "object is expected"});
  refused(file_of("{\"a\":{}}", 0), {"'a'", "'dtype'"});
  refused(file_of("{" + entry("a", "[1]", "[0,4]") + "," + entry("a", "[1]", "[4,8]") + "}", 8), {"'a'", "twice"});
  refused(file_of("{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4),
          {"'a'", "'dtype'", "twice"});
  refused(file_of("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"more\":1}}", 4), {"'a'", "'more'"});
  for (const char* shape : {"[-1]", "[1.0]", "[null]", "[true]", "[\"1\"]", "[[1]]", "[{}]", "1", "{}", "[1e999]"})
    refused(file_of("{" + entry("a", shape, "[0,4]") + "}", 4), {"'a'"});
  for (const char* offsets : {"[0]", "[]", "[0,4,4]", "[-0.5,4]", "4"})
    refused(file_of("{" + entry("a", "[1]", offsets) + "}", 4), {"'a'"});
  refused(file_of("{\"__metadata__\":{\"a\":1}}", 0), {"'__metadata__'", "text is expected"});
  refused(file_of("{\"__metadata__\":{\"a\":{\"b\":\"c\"}}}", 0), {"'__metadata__'"});
  refused(file_of("{\"__metadata__\":[]}", 0), {"'__metadata__'"});
  refused(file_of(std::string(5000, '{'), 0), {"valid JSON"});
  refused(file_of("{\"a\":{\"dtype\":" + std::string(100000, '['), 0), {"'a'"});
}

TEST_F(SafeTensorsTest, OtherDtypesAreUnsupportedByName) {
  refused(file_of("{" + entry("a", "[2]", "[0,4]", "F64") + "}", 4), {"'a'", "needs 16"});
  refused(file_of("{" + entry("a", "[2]", "[0,4]", std::string(500, 'x')) + "}", 4), {"'a'", "no dtype"});
}

TEST_F(SafeTensorsTest, HalvesAreWidenedExactly) {
  std::string bytes =
      file_of("{" + entry("half", "[6]", "[0,12]", "F16") + "," + entry("brain", "[2]", "[12,16]", "BF16") + "}", 16);
  const std::uint16_t values[8] = {0x3c00, 0xc000, 0x0001, 0x7bff, 0x83ff, 0x7c00, 0x3f80, 0xc049};
  std::memcpy(bytes.data() + bytes.size() - 16, values, 16);
  const auto opened = open(bytes);
  ASSERT_TRUE(opened.has_value()) << opened.error().message;
  const float* half = (*opened)->find("half")->data;
  EXPECT_EQ(half[0], 1.0f);
  EXPECT_EQ(half[1], -2.0f);
  EXPECT_EQ(half[2], 0x1p-24f);  // the smallest subnormal
  EXPECT_EQ(half[3], 65504.0f);
  EXPECT_EQ(half[4], -1023 * 0x1p-24f);
  EXPECT_TRUE(std::isinf(half[5]));
  const float* brain = (*opened)->find("brain")->data;
  EXPECT_EQ(brain[0], 1.0f);
  EXPECT_EQ(brain[1], -3.140625f);
}

TEST_F(SafeTensorsTest, IntegersAreListedAndMayLeaveFloatsUnaligned) {
  std::string bytes = file_of("{" + entry("flags", "[3]", "[0,3]", "BOOL") + "," + entry("w", "[2]", "[3,11]") + "," +
                                  entry("ids", "[1,2]", "[11,27]", "I64") + "}",
                              27);
  const float values[2] = {1.5f, -2.5f};
  std::memcpy(bytes.data() + bytes.size() - 24, values, 8);
  const auto opened = open(bytes);
  ASSERT_TRUE(opened.has_value()) << opened.error().message;
  EXPECT_EQ((*opened)->all().size(), 1u);
  EXPECT_EQ((*opened)->find("w")->data[1], -2.5f);
  EXPECT_EQ((*opened)->unread().at("ids"), "I64");
  refused(file_of("{" + entry("ids", "[2]", "[0,15]", "I64") + "}", 15), {"'ids'", "16 bytes"});
}

TEST_F(SafeTensorsTest, TensorsOfOtherTypesAreListedAndNotRead) {
  const std::string header = "{" + entry("w", "[1]", "[0,4]") + "," + entry("d", "[1]", "[4,12]", "F64") + "," +
                             entry("f8", "[3]", "[12,15]", "F8_E4M3") + "," + entry("new", "[9]", "[15,16]", "F4_X") +
                             "," + entry("c", "[1]", "[16,24]", "C64") + "}";
  const auto opened = open(file_of(header, 24));
  ASSERT_TRUE(opened.has_value()) << opened.error().message;
  EXPECT_EQ((*opened)->all().size(), 1u);
  EXPECT_EQ((*opened)->unread().size(), 4u);
  EXPECT_EQ((*opened)->unread().at("new"), "F4_X");
}

TEST_F(SafeTensorsTest, HeadersOfAnyLengthAreTakenInBothWaysOfReading) {
  const std::vector<float> values = {1.5f, -2, 3, 4, 5, 6};
  const std::string padded = safetensors_bytes(std::vector<NamedTensor>{{"w", {values.data(), {2, 3}}}});
  for (std::size_t spaces = 0; spaces < 8; ++spaces) {
    std::uint64_t length = 0;
    std::memcpy(&length, padded.data(), 8);
    std::string bytes = padded;
    bytes.insert(8 + length, spaces, ' ');
    length += spaces;
    std::memcpy(bytes.data(), &length, 8);
    const fs::path path = folder_ / "unaligned.safetensors";
    ASSERT_TRUE(write_file_atomic(path, bytes));
    for (const Weights how : {Weights::map, Weights::copy}) {
      const auto opened = SafeTensors::open(path, how);
      ASSERT_TRUE(opened) << opened.error().message;
      const TensorView* w = (*opened)->find("w");
      EXPECT_EQ(std::vector<float>(w->data, w->data + 6), values) << spaces;
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(w->data) % alignof(float), 0u);
      EXPECT_EQ((*opened)->file_bytes().empty(), how == Weights::copy);
      EXPECT_TRUE((*opened)->intact());
    }
    const auto copied = SafeTensors::open(path, Weights::copy);
    fs::resize_file(path, bytes.size() - 4);
    (void)(*copied)->find("w");
    EXPECT_FALSE((*copied)->intact()) << "cut short after it was opened: no signal, and it is said";
  }
}

TEST_F(SafeTensorsTest, WhatCameInsteadIsNamed) {
  refused("version https://git-lfs.github.com/spec/v1\noid sha256:12ab\nsize 35554\n", {"Git LFS pointer"});
  refused("<!DOCTYPE html><html><body>not found</body></html>", {"web page"});
  refused("", {"is empty"});
}

TEST_F(SafeTensorsTest, TooManyTensorsAreRefusedEarly) {
  std::string header = "{";
  for (int i = 0; i < 300'000; ++i) header += (i ? "," : "") + entry("t" + std::to_string(i), "[0]", "[0,0]");
  refused(file_of(header + "}", 0), {"more than 200000 tensors"});
}

TEST_F(SafeTensorsTest, Int8RowsComeWithTheirScales) {
  const std::int8_t rows[] = {127, -3, 0, -127, 64, 1};
  const float scales[] = {0.5f, 2.0f};
  const auto stored = [&](std::vector<std::int64_t> shape, std::size_t count) {
    return safetensors_bytes(
        std::vector<StoredTensor>{{"w", "I8", {2, 3}, std::as_bytes(std::span(rows))},
                                  {"w.scale", "F32", std::move(shape), std::as_bytes(std::span(scales, count))}});
  };
  const fs::path path = folder_ / "int8.safetensors";
  ASSERT_TRUE(write_file_atomic(path, stored({2}, 2)));
  const auto opened = SafeTensors::open(path);
  ASSERT_TRUE(opened) << opened.error().message;
  const TensorView* w =
      (*opened)->find("w");  // six bytes: the scales behind them lie unaligned, and are read all the same
  ASSERT_NE(w, nullptr);
  EXPECT_EQ(std::vector<float>(w->data, w->data + 6), (std::vector<float>{63.5f, -1.5f, 0, -254, 128, 2}));
  EXPECT_EQ((*opened)->table_of("w").type, Stored::i8);
  EXPECT_EQ((*opened)->all().size(), 1u) << "a scale is a part of its tensor";
  ASSERT_TRUE(write_file_atomic(path, stored({1}, 1)));
  const auto refused_scales = SafeTensors::open(path);
  ASSERT_FALSE(refused_scales);
  EXPECT_NE(refused_scales.error().message.find("one scale for each row"), std::string::npos)
      << refused_scales.error().message;
}

TEST_F(SafeTensorsTest, ShardsAreOneSet) {
  const auto write = [&](const char* name, const std::string& bytes) {
    ASSERT_TRUE(write_file_atomic(folder_ / name, bytes));
  };
  write("a.safetensors", safetensors_bytes(std::vector<NamedTensor>{{"b", {kSix.data(), {2, 3}}}}));
  write("b.safetensors", safetensors_bytes(std::vector<NamedTensor>{{"a", {&kOne, {}}}}));
  const fs::path index = folder_ / "model.safetensors.index.json";
  const auto attempt = [&](const std::string& map) {
    EXPECT_TRUE(write_file_atomic(index, "{\"weight_map\": " + map + "}"));
    return SafeTensors::open_sharded(index);
  };
  const auto both = attempt("{\"a\": \"b.safetensors\", \"b\": \"a.safetensors\"}");
  ASSERT_TRUE(both.has_value()) << both.error().message;
  EXPECT_EQ((*both)->find("a")->data[0], kOne);
  EXPECT_EQ((*both)->find("b")->data[5], 6.0f);
  EXPECT_EQ(*SafeTensors::shards_of(index), (std::vector<std::string>{"a.safetensors", "b.safetensors"}));
  for (const char* bad : {"{}", "[]", "{\"a\": 1}", "{\"a\": \"../a.safetensors\"}", "{\"a\": \"\"}",
                          "{\"a\": \"a.bin\"}", "{\"a\": \"a.safetensors\"}", "{\"a\": \"none.safetensors\"}"})
    EXPECT_FALSE(attempt(bad).has_value()) << bad;
}

TEST_F(SafeTensorsTest, ManyTensorsAreReadInLinearTime) {
  const auto processor_seconds = [&](int count) {
    std::string header = "{";
    for (int i = 0; i < count; ++i) header += (i ? "," : "") + entry("t" + std::to_string(i), "[0]", "[0,0]");
    const std::string bytes = file_of(header + "}", 0);
    const std::clock_t started = std::clock();
    const auto opened = open(bytes);
    const double seconds = static_cast<double>(std::clock() - started) / CLOCKS_PER_SEC;
    EXPECT_TRUE(opened.has_value() && (*opened)->all().size() == static_cast<std::size_t>(count));
    return seconds;
  };
  const double few = processor_seconds(5000), many = processor_seconds(40000);
  EXPECT_LT(many, 30 * few + 0.05) << few;  // 8 times the tensors: a quadratic reader would take 64 times as long
}

TEST_F(SafeTensorsTest, NamesInErrorsArePrintable) {
  const auto opened = open(file_of("{\"a\\u001b[31m" + std::string(500, 'x') + "\":1}", 0));
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().message.find('\x1b'), std::string::npos);
  EXPECT_LT(opened.error().message.size(), 400u);
}

TEST_F(SafeTensorsTest, MissingFileAndFolder) {
  EXPECT_EQ(SafeTensors::open(folder_ / "absent").error().code, Code::io);
  EXPECT_EQ(SafeTensors::open(folder_).error().code, Code::io);
}

}  // namespace
}  // namespace fathom
