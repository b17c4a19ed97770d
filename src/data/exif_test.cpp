#include "data/exif.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include "base/random.h"

namespace fathom::data {
namespace {

using namespace std::string_literals;

std::string number(std::uint32_t value, int count, bool little) {
  std::string bytes;
  for (int i = 0; i < count; ++i) bytes += static_cast<char>(value >> 8 * (little ? i : count - 1 - i) & 0xFF);
  return bytes;
}

struct Entry {
  std::uint32_t tag = 0x0112, type = 3, count = 1, value = 6;
};

std::string tiff(bool little, const std::vector<Entry>& entries, std::uint32_t claimed, std::uint32_t directory = 8) {
  std::string bytes =
      (little ? "II" : "MM") + number(42, 2, little) + number(directory, 4, little) + number(claimed, 2, little);
  for (const Entry& e : entries) {
    bytes += number(e.tag, 2, little) + number(e.type, 2, little) + number(e.count, 4, little);
    bytes += e.type == 3 ? number(e.value, 2, little) + "\0\0"s : number(e.value, 4, little);
  }
  return bytes;
}

std::string jpeg_with(const std::string& exif) {
  const std::string segment = "Exif\0\0"s + exif;
  return "\xFF\xD8\xFF\xE0\0\4ab\xFF\xFF\xE1"s + number(static_cast<std::uint32_t>(segment.size() + 2), 2, false) +
         segment + "\xFF\xDA"s;
}

std::string png_with(const std::string& exif, std::uint32_t damage = 0) {
  const std::string named = "eXIf" + exif;
  const auto sum = static_cast<std::uint32_t>(
      crc32(0, reinterpret_cast<const Bytef*>(named.data()), static_cast<uInt>(named.size())));
  return "\x89PNG\r\n\x1A\n"s + number(2, 4, false) + "tEXtab" + number(0, 4, false) +
         number(static_cast<std::uint32_t>(exif.size()), 4, false) + named + number(sum ^ damage, 4, false) +
         "\0\0\0\0IEND\xAE\x42\x60\x82"s;
}

TEST(Exif, IsReadInBothByteOrdersAndTypes) {
  for (const bool little : {false, true})
    for (std::uint32_t value = 1; value <= 8; ++value)
      for (const std::uint32_t type : {3u, 4u}) {
        const std::string block = tiff(little, {{0x010F, 4, 1, 3}, {0x0112, type, 1, value}}, 2);
        EXPECT_EQ(jpeg_orientation(jpeg_with(block)), static_cast<int>(value));
        EXPECT_EQ(png_orientation(png_with(block)), static_cast<int>(value));
      }
}

TEST(Exif, WhatIsMalformedCountsAsUpright) {
  const std::string bad[] = {
      "",
      "II",
      tiff(true, {}, 0),
      tiff(true, {}, 1),
      tiff(false, {}, 65535),
      tiff(true, {{0x0112, 3, 1, 0}}, 1),
      tiff(true, {{0x0112, 3, 1, 9}}, 1),
      tiff(true, {{0x0112, 4, 1, 0xFFFFFFFF}}, 1),
      tiff(true, {{0x0112, 2, 1, 6}}, 1),
      tiff(true, {{0x0112, 3, 0, 6}}, 1),
      tiff(true, {{0x0113, 3, 1, 6}}, 1),
      tiff(true, {{}}, 1, 0xFFFFFFFF),
      tiff(false, {{}}, 1, 0xFFFFFFF0),
      tiff(true, {{}}, 1, 9),
      "XX" + tiff(true, {{}}, 1).substr(2),
  };
  for (const std::string& block : bad) {
    EXPECT_EQ(jpeg_orientation(jpeg_with(block)), 1);
    EXPECT_EQ(png_orientation(png_with(block)), 1);
  }
  EXPECT_EQ(png_orientation(png_with(tiff(true, {{}}, 1), 1)), 1);  // wrong checksum
  EXPECT_EQ(jpeg_orientation("\xFF\xD8\xFF\xDA"s + jpeg_with(tiff(true, {{}}, 1)).substr(2)),
            1);  // behind the scan data
}

std::string png_chunk(const std::string& name, const std::string& data) {
  const std::string named = name + data;
  const auto sum = static_cast<std::uint32_t>(
      crc32(0, reinterpret_cast<const Bytef*>(named.data()), static_cast<uInt>(named.size())));
  return number(static_cast<std::uint32_t>(data.size()), 4, false) + named + number(sum, 4, false);
}

std::string packed(const std::string& text) {
  std::string out(compressBound(text.size()), '\0');
  uLongf size = out.size();
  EXPECT_EQ(
      compress(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(text.data()), text.size()),
      Z_OK);
  return out.substr(0, size);
}

// Where else Pillow finds it.
TEST(Exif, TheFirstEntryThatCanBeReadCounts) {
  const auto both = [](const std::string& block) {
    EXPECT_EQ(jpeg_orientation(jpeg_with(block)), png_orientation(png_with(block)));
    return jpeg_orientation(jpeg_with(block));
  };
  EXPECT_EQ(both(tiff(true, {{0x0112, 3, 2, 6}}, 1)), 6);                      // of several values the first
  EXPECT_EQ(both(tiff(true, {{0x0112, 3, 0, 3}, {0x0112, 3, 1, 6}}, 2)), 6);   // one without a value
  EXPECT_EQ(both(tiff(true, {{0x0112, 99, 1, 3}, {0x0112, 3, 1, 6}}, 2)), 6);  // one of no known type
  EXPECT_EQ(both(tiff(true, {{0x0112, 3, 1, 3}, {0x0112, 3, 1, 6}}, 2)), 3);
  EXPECT_EQ(both(tiff(true, {{0x0112, 2, 1, 3}, {0x0112, 3, 1, 6}}, 2)), 1);  // a text is a value, and turns nothing
  EXPECT_EQ(both("Exif\0\0"s + tiff(false, {{0x0112, 9, 1, 8}}, 1)), 8);
}

TEST(Exif, SeveralSegmentsAreOne) {
  const std::string block = tiff(true, {{}}, 1);
  const auto segment = [](const std::string& data) {
    return "\xFF\xE1"s + number(static_cast<std::uint32_t>(data.size() + 2), 2, false) + data;
  };
  EXPECT_EQ(jpeg_orientation("\xFF\xD8"s + segment("Exif\0\0"s) + segment("Exif\0\0"s + block) + "\xFF\xDA"), 6);
  EXPECT_EQ(jpeg_orientation("\xFF\xD8"s + segment("Exif\0\0"s + block.substr(0, 9)) +
                             segment("Exif\0\0"s + block.substr(9)) + "\xFF\xDA"),
            6);
}

TEST(Exif, XmpAndTextProfilesAreRead) {
  const std::string xmp = "<x tiff:Orientation='3' tiff:Orientation=\"6\"/>", space = "http://ns.adobe.com/xap/1.0/\0"s;
  const auto jpeg = [&](const std::string& text) {
    const std::string data = space + text;
    return "\xFF\xD8\xFF\xE1"s + number(static_cast<std::uint32_t>(data.size() + 2), 2, false) + data + "\xFF\xDA";
  };
  EXPECT_EQ(jpeg_orientation(jpeg(xmp)), 6);
  EXPECT_EQ(jpeg_orientation(jpeg("<tiff:Orientation>8</tiff:Orientation>")), 8);
  EXPECT_EQ(jpeg_orientation(jpeg("tiff:Orientation=\"9\"")), 1);
  EXPECT_EQ(jpeg_orientation(jpeg("tiff:Orientation")), 1);
  const std::string begin = "\x89PNG\r\n\x1A\n", key = "XML:com.adobe.xmp";
  EXPECT_EQ(png_orientation(begin + png_chunk("iTXt", key + "\0\0\0\0\0"s + xmp)), 6);
  EXPECT_EQ(png_orientation(begin + png_chunk("iTXt", key + "\0\1\0\0\0"s + packed(xmp))), 6);
  EXPECT_EQ(png_orientation(begin + png_chunk("iTXt", key + "\0\1\0\0\0"s + packed(xmp).substr(0, 9))), 1);
  std::string hex = "\nexif\n  34\n";
  for (const char c : tiff(false, {{0x0112, 3, 1, 5}}, 1)) {
    hex += "0123456789abcdef"[static_cast<unsigned char>(c) >> 4];
    hex += "0123456789abcdef"[static_cast<unsigned char>(c) & 15];
    if (hex.size() % 7 == 0) hex += '\n';
  }
  const std::string profile = "Raw profile type exif";
  EXPECT_EQ(png_orientation(begin + png_chunk("tEXt", profile + "\0"s + hex)), 5);
  EXPECT_EQ(png_orientation(begin + png_chunk("zTXt", profile + "\0\0"s + packed(hex))), 5);
  // A chunk of its own comes first, and its own tag before XMP's.
  const std::string own = png_with(tiff(true, {{0x0112, 3, 1, 3}}, 1));
  EXPECT_EQ(png_orientation(own.substr(0, own.size() - 12) + png_chunk("tEXt", profile + "\0"s + hex) +
                            png_chunk("iTXt", key + "\0\0\0\0\0"s + xmp)),
            3);
  const std::string bomb = packed(std::string(64u << 20, ' ') + xmp);
  EXPECT_EQ(png_orientation(begin + png_chunk("zTXt", key + "\0\0"s + bomb)), 1);  // 1 MiB is looked at
}

TEST(Exif, CutAnywhereItStaysInside) {
  const std::string block = tiff(false, {{0x010F, 4, 1, 3}, {}}, 2), jpeg = jpeg_with(block), png = png_with(block);
  ASSERT_EQ(jpeg_orientation(jpeg), 6);
  ASSERT_EQ(png_orientation(png), 6);
  for (std::size_t size = 0; size < jpeg.size() - 2; ++size) {
    const std::vector<char> part(jpeg.begin(),
                                 jpeg.begin() + static_cast<std::ptrdiff_t>(size));  // exact size, for the sanitizer
    EXPECT_EQ(jpeg_orientation({part.data(), part.size()}), 1) << size;
  }
  for (std::size_t size = 0; size < png.size() - 12; ++size) {
    const std::vector<char> part(png.begin(), png.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_EQ(png_orientation({part.data(), part.size()}), 1) << size;
  }
  Random random(3);
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = round % 2 ? jpeg : png;
    for (int i = 0; i < 3; ++i) bytes[random.below(bytes.size())] = static_cast<char>(random.below(256));
    for (const int orientation : {jpeg_orientation(bytes), png_orientation(bytes)}) {
      EXPECT_GE(orientation, 1);
      EXPECT_LE(orientation, 8);
    }
  }
}

// 2 rows of 3: the values stand for a b c / d e f.
TEST(Exif, TurnsAndMirrors) {
  const auto turned = [](int orientation) {
    Picture picture{2, 3, {}};
    for (const char c : {'a', 'b', 'c', 'd', 'e', 'f'})
      picture.pixels.insert(picture.pixels.end(), 3, static_cast<std::uint8_t>(c));
    apply_orientation(picture, orientation);
    std::string text;
    for (std::size_t p = 0; p < 6; ++p) {
      if (p > 0 && p % static_cast<std::size_t>(picture.width) == 0) text += '/';
      text += static_cast<char>(picture.pixels[3 * p]);
    }
    return text;
  };
  const std::string expected[] = {"abc/def",  "abc/def",  "cba/fed",  "fed/cba",  "def/abc",
                                  "ad/be/cf", "da/eb/fc", "fc/eb/da", "cf/be/ad", "abc/def"};
  for (int orientation = 0; orientation < 10; ++orientation)
    EXPECT_EQ(turned(orientation), expected[orientation]) << orientation;
}

}  // namespace
}  // namespace fathom::data
