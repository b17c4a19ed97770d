// Pictures against Pillow and transformers: pixels decoded, resized and preprocessed, as picture_reference.py noted
// them in tests/parity/picture. Bytes are equal, tensors within 1e-6. The files are part of the tree: absent ones fail.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include "base/file.h"
#include "base/sha256.h"
#include "data/preprocessing.h"

namespace fathom::data {
namespace {

std::filesystem::path folder() {
  const char* source = std::getenv("FATHOM_SOURCE_DIR");
  return std::filesystem::path(source == nullptr ? "." : source) / "tests" / "parity" / "picture";
}

std::string read(const std::string& name) {
  auto bytes = read_file(folder() / name, 1 << 20);
  EXPECT_TRUE(bytes.has_value()) << (bytes ? "" : bytes.error().message) << " (FATHOM_SOURCE_DIR is the source tree)";
  return bytes ? *bytes : std::string();
}

std::vector<std::vector<std::string>> read_rows(const std::string& name) {
  std::vector<std::vector<std::string>> rows;
  std::istringstream lines(read(name));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream cells(line);
    rows.emplace_back();
    for (std::string cell; std::getline(cells, cell, '\t');) rows.back().push_back(cell);
  }
  return rows;
}

std::string hash(const Picture& picture) {
  return sha256_hex({reinterpret_cast<const char*>(picture.pixels.data()), picture.pixels.size()});
}

// noise() of picture_reference.py.
Picture noise(std::uint32_t seed, int height, int width) {
  Picture picture{height, width,
                  std::vector<std::uint8_t>(static_cast<std::size_t>(height) * static_cast<std::size_t>(width) * 3)};
  for (std::size_t i = 0; i < picture.pixels.size(); ++i) {
    std::uint32_t v = static_cast<std::uint32_t>(i) * 0x9E3779B1u + seed;
    v ^= v >> 15;
    v *= 0x85EBCA6Bu;
    v ^= v >> 13;
    picture.pixels[i] = static_cast<std::uint8_t>(v >> 24);
  }
  return picture;
}

TEST(PictureParity, DecodesAsPillow) {
  const auto rows = read_rows("decode.tsv");
  ASSERT_GE(rows.size(), 60u);
  for (const auto& row : rows) {
    ASSERT_EQ(row.size(), 4u);
    const auto picture = decode_picture(read(row[0]), row[0]);
    ASSERT_TRUE(picture.has_value()) << picture.error().message;
    EXPECT_EQ(picture->height, std::stoi(row[1])) << row[0];
    EXPECT_EQ(picture->width, std::stoi(row[2])) << row[0];
    EXPECT_EQ(hash(*picture), row[3]) << row[0];
  }
}

TEST(PictureParity, ResizesAsPillowOn1000Sizes) {
  const auto rows = read_rows("resize.tsv");
  ASSERT_EQ(rows.size(), 1000u);
  constexpr Filter kFilters[] = {Filter::bilinear, Filter::bicubic, Filter::nearest};
  int different[3] = {};
  for (std::size_t i = 0; i < rows.size(); ++i) {
    ASSERT_EQ(rows[i].size(), 7u);
    const Picture source = noise(static_cast<std::uint32_t>(i), std::stoi(rows[i][0]), std::stoi(rows[i][1]));
    for (std::size_t f = 0; f < 3; ++f) {
      const Picture out = resize_picture(source, std::stoi(rows[i][2]), std::stoi(rows[i][3]), kFilters[f]);
      if (hash(out).substr(0, 16) == rows[i][4 + f]) continue;
      EXPECT_GE(++different[f], 4) << "filter " << static_cast<int>(kFilters[f]) << ", line " << i << ": " << rows[i][0]
                                   << "x" << rows[i][1] << " to " << rows[i][2] << "x"
                                   << rows[i][3];  // the first three are named
    }
  }
  EXPECT_EQ(different[0], 0);
  EXPECT_EQ(different[1], 0);
  EXPECT_EQ(different[2], 0);
}

TEST(PictureParity, PreprocessesAsTransformers) {
  const auto rows = read_rows("preprocess.tsv");
  ASSERT_GE(rows.size(), 20u);
  int tensors = 0;
  double worst = 0;
  for (const auto& row : rows) {
    ASSERT_EQ(row.size(), 6u);
    SCOPED_TRACE(row[0]);
    const std::string config = read(row[0] + ".json");
    const auto how = row[1] == "hf" ? parse_preprocessing(config, row[0]) : parse_timm_preprocessing(config, row[0]);
    ASSERT_TRUE(how.has_value()) << how.error().message;
    const auto source = decode_picture(read(row[2]), row[2]);
    ASSERT_TRUE(source.has_value()) << source.error().message;
    const auto picture = preprocess(*source, *how);
    ASSERT_TRUE(picture.has_value()) << picture.error().message;
    EXPECT_EQ(picture->height, std::stoi(row[3]));
    EXPECT_EQ(picture->width, std::stoi(row[4]));
    EXPECT_EQ(hash(*picture), row[5]);
    if (!std::filesystem::exists(folder() / (row[0] + ".f32"))) continue;  // large ones; counted below
    ++tensors;
    const std::string expected = read(row[0] + ".f32");
    const std::vector<float> tensor = pixel_tensor(*picture, *how);
    ASSERT_EQ(expected.size(), tensor.size() * sizeof(float));
    const UnitStatistics unit = unit_statistics(*how);
    const std::size_t plane = tensor.size() / 3;
    for (std::size_t i = 0; i < tensor.size(); ++i) {
      float want = 0;
      std::memcpy(&want, expected.data() + i * sizeof want, sizeof want);
      const double allowed = 1e-6 * std::max(1.0, std::abs(static_cast<double>(want)));
      worst = std::max(worst, std::abs(static_cast<double>(tensor[i]) - static_cast<double>(want)) /
                                  std::max(1.0, std::abs(static_cast<double>(want))));
      ASSERT_NEAR(tensor[i], want, allowed) << i;
      const std::size_t c = i / plane;
      const double engine = (picture->pixels[i % plane * 3 + c] / 255.0 - unit.mean[c]) / unit.std[c];
      ASSERT_NEAR(engine, want, allowed) << i;
    }
  }
  EXPECT_EQ(tensors, 20);
  RecordProperty("worst_difference", std::to_string(worst));
  std::printf("worst difference of a tensor's value: %.3g\n", worst);
}

}  // namespace
}  // namespace fathom::data
