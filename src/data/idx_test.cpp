#include "data/idx.h"

#include "data/cifar.h"
#include "data/test_files.h"

namespace fathom::data {
namespace {

TEST(Idx, GreyBecomesRgbAndColourIsKept) {
  const TestFolder folder;
  const auto grey = folder.put("a", idx_bytes({2, 1, 2}, "\x01\x02\x03\x04"));
  const auto colour = folder.put("b.gz", gzipped(idx_bytes({1, 1, 2, 3}, "abcdef")));
  const auto two = folder.put("l", idx_bytes({2}, std::string("\x00\x07", 2)));
  const auto one = folder.put("m", idx_bytes({1}, "\x05"));
  const auto part = read_idx_part(grey, two, two);
  ASSERT_TRUE(part.has_value()) << message_of(part);
  EXPECT_EQ(part->split.pixels, (std::vector<std::uint8_t>{1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4}));
  EXPECT_EQ(part->labels, (std::vector<std::string>{"0", "7"}));
  EXPECT_EQ(part->split.complexity, (std::vector<std::int32_t>{0, 7}));
  const auto rgb = read_idx_part(colour, one, "");
  ASSERT_TRUE(rgb.has_value()) << message_of(rgb);
  EXPECT_EQ(std::string(rgb->split.pixels.begin(), rgb->split.pixels.end()), "abcdef");
  EXPECT_EQ(rgb->split.width, 2);
}

TEST(Idx, ShortAndLyingHeadersAreRefused) {
  EXPECT_FAILS(parse_idx("ab", "f"), Code::bad_input, "too short");
  EXPECT_FAILS(parse_idx("text, not IDX", "f"), Code::bad_input, "not an IDX file");
  EXPECT_FAILS(parse_idx(std::string("\0\0\x08\x03\0\0", 6), "f"), Code::bad_input, "ends inside the IDX header");
  EXPECT_FAILS(parse_idx(std::string("\0\0\x0D\x01\0\0\0\x01xxxx", 12), "f"), Code::unsupported, "type 13");
  const std::string good = idx_bytes({2, 2, 2}, "12345678");
  EXPECT_TRUE(parse_idx(good, "f").has_value());
  EXPECT_FAILS(parse_idx(good.substr(0, good.size() - 1), "f"), Code::bad_input,
               "promises 2x2x2 = 8 values, the file has 7");
  EXPECT_FAILS(parse_idx(good + "x", "f"), Code::bad_input, "the file has 9");
  EXPECT_FAILS(parse_idx(idx_bytes({0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF}, "x"), "f"), Code::bad_input,
               "promises more than");
  EXPECT_FAILS(parse_idx(idx_bytes({0, 28, 28}, ""), "f"), Code::bad_input, "holds no values");
  EXPECT_FAILS(parse_idx(std::string("\0\0\x08\xFF", 4) + std::string(2000, '\1'), "f"), Code::bad_input,
               "255 dimensions");
}

TEST(Idx, FilesThatDoNotBelongTogetherAreRefused) {
  const TestFolder folder;
  const auto images = folder.put("i", idx_bytes({2, 1, 1}, "12"));
  const auto flat = folder.put("flat", idx_bytes({2}, "12"));
  const auto three = folder.put("three", idx_bytes({3}, "123"));
  const auto wide = folder.put("wide", idx_bytes({1, 1, 2000}, std::string(2000, 'x')));
  const auto one = folder.put("one", idx_bytes({1}, "1"));
  EXPECT_FAILS(read_idx_part(images, three, ""), Code::bad_input, "3 labels, but");
  EXPECT_FAILS(read_idx_part(images, images, ""), Code::bad_input, "expected one dimension of labels");
  EXPECT_FAILS(read_idx_part(images, flat, three), Code::bad_input, "3 complexities");
  EXPECT_FAILS(read_idx_part(flat, flat, ""), Code::bad_input, "expected count x height x width");
  EXPECT_FAILS(read_idx_part(wide, one, ""), Code::limit, "at most 1024x1024");
}

std::string cifar_record(int label, int label_bytes) {
  std::string record(static_cast<std::size_t>(label_bytes), static_cast<char>(label));
  for (const char plane : {'r', 'g', 'b'}) record += std::string(1024, plane);
  return record;
}

TEST(Cifar, ReadsBothFormsAndTurnsPlanesIntoPixels) {
  const TestFolder folder;
  const auto ten = folder.put("ten.bin", cifar_record(3, 1) + cifar_record(9, 1));
  const auto more = folder.put("more.bin.gz", gzipped(cifar_record(1, 1)));
  const auto hundred = folder.put("hundred.bin", std::string(1, '\x02') + cifar_record(77, 1));
  const auto part = read_cifar_part({ten, more});
  ASSERT_TRUE(part.has_value()) << message_of(part);
  EXPECT_EQ(part->labels, (std::vector<std::string>{"3", "9", "1"}));
  EXPECT_EQ(part->where(2), "'" + more.string() + "' record 1");
  EXPECT_EQ(part->split.pixels.size(), 3u * 3072);
  EXPECT_EQ(std::string(part->split.pixels.begin() + 3072, part->split.pixels.begin() + 3078), "rgbrgb");
  EXPECT_EQ(read_cifar_part({hundred})->labels, std::vector<std::string>{"77"});
  EXPECT_FAILS(read_cifar_part({ten, hundred}), Code::bad_input, "other record size");
}

TEST(Cifar, SizesThatFitNoRecordAreRefused) {
  const TestFolder folder;
  const auto cut = folder.put("cut.bin", cifar_record(1, 1).substr(0, 3000));
  const auto empty = folder.put("empty.bin", "");
  const auto broken = folder.put("broken.bin.gz", gzipped(cifar_record(1, 1)).substr(0, 30));
  EXPECT_FAILS(read_cifar_part({cut}), Code::bad_input, "3000 bytes are no whole number of records");
  EXPECT_FAILS(read_cifar_part({empty}), Code::bad_input, "the file is empty");
  EXPECT_FAILS(read_cifar_part({broken}), Code::bad_input, "gzip ends early");
}

}  // namespace
}  // namespace fathom::data
