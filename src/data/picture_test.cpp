#include "data/picture.h"

#include <csetjmp>
#include <cstdio>
#include <cstring>

#include <jpeglib.h>
#include <png.h>

#include "base/random.h"
#include "data/class_folders.h"
#include "data/dataset.h"
#include "data/preprocessing.h"
#include "data/test_files.h"

namespace fathom::data {
namespace {

std::vector<std::uint8_t> pattern(std::size_t count) {
  std::vector<std::uint8_t> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<std::uint8_t>((i * 37 + 11) % 256);
  return values;
}

std::string png_of(int height, int width, png_uint_32 format, const std::vector<std::uint8_t>& pixels) {
  png_image image;
  std::memset(&image, 0, sizeof image);
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width);
  image.height = static_cast<png_uint_32>(height);
  image.format = format;
  png_alloc_size_t size = 0;
  EXPECT_TRUE(png_image_write_to_memory(&image, nullptr, &size, 0, pixels.data(), 0, nullptr));
  std::string out(size, '\0');
  EXPECT_TRUE(png_image_write_to_memory(&image, out.data(), &size, 0, pixels.data(), 0, nullptr));
  out.resize(size);
  return out;
}

std::string jpeg_of(int height, int width, int channels, std::vector<std::uint8_t> pixels, bool progressive = false) {
  jpeg_error_mgr errors;
  jpeg_compress_struct jpeg;
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&jpeg, &bytes, &size);
  jpeg.image_width = static_cast<JDIMENSION>(width);
  jpeg.image_height = static_cast<JDIMENSION>(height);
  jpeg.input_components = channels;
  jpeg.in_color_space = channels == 1 ? JCS_GRAYSCALE : channels == 3 ? JCS_RGB : JCS_CMYK;
  jpeg_set_defaults(&jpeg);
  jpeg_set_quality(&jpeg, 95, TRUE);
  if (progressive) jpeg_simple_progression(&jpeg);
  jpeg_start_compress(&jpeg, TRUE);
  while (jpeg.next_scanline < jpeg.image_height) {
    JSAMPROW row =
        pixels.data() + std::size_t{jpeg.next_scanline} * jpeg.image_width * static_cast<std::size_t>(channels);
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  std::string out(reinterpret_cast<char*>(bytes), size);
  jpeg_destroy_compress(&jpeg);
  std::free(bytes);
  return out;
}

std::string chunk(const std::string& name, const std::string& data) {
  const auto number = [](unsigned long v) {
    std::string s;
    for (int shift = 24; shift >= 0; shift -= 8) s += static_cast<char>(v >> shift & 0xFF);
    return s;
  };
  const std::string body = name + data;
  return number(data.size()) + body +
         number(crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size())));
}

std::string png_claiming(unsigned width, unsigned height) {
  std::string header;
  for (const unsigned v : {width, height})
    for (int shift = 24; shift >= 0; shift -= 8) header += static_cast<char>(v >> shift & 0xFF);
  header += std::string("\x08\x02\0\0\0", 5);
  return std::string("\x89PNG\r\n\x1A\n", 8) + chunk("IHDR", header) + chunk("IDAT", "x") + chunk("IEND", "");
}

TEST(Png, DecodesRgbGreyAlphaAnd16Bit) {
  const auto rgb = pattern(5 * 7 * 3);
  const auto decoded = decode_picture(png_of(5, 7, PNG_FORMAT_RGB, rgb), "f");
  ASSERT_TRUE(decoded.has_value()) << message_of(decoded);
  EXPECT_EQ(decoded->height, 5);
  EXPECT_EQ(decoded->width, 7);
  EXPECT_EQ(decoded->pixels, rgb);

  const auto grey = decode_picture(png_of(1, 3, PNG_FORMAT_GRAY, {0, 100, 255}), "f");
  EXPECT_EQ(grey->pixels, (std::vector<std::uint8_t>{0, 0, 0, 100, 100, 100, 255, 255, 255}));

  const auto alpha = decode_picture(png_of(1, 2, PNG_FORMAT_RGBA, {10, 20, 30, 0, 40, 50, 60, 128}), "f");
  EXPECT_EQ(alpha->pixels, (std::vector<std::uint8_t>{10, 20, 30, 40, 50, 60}));  // dropped, not composed
}

TEST(Jpeg, DecodesColourGreyProgressiveAndCmyk) {
  const std::vector<std::uint8_t> red = [] {
    std::vector<std::uint8_t> v;
    for (int i = 0; i < 16 * 16; ++i) v.insert(v.end(), {200, 30, 40});
    return v;
  }();
  for (const bool progressive : {false, true}) {
    const auto decoded = decode_picture(jpeg_of(16, 16, 3, red, progressive), "f");
    ASSERT_TRUE(decoded.has_value()) << message_of(decoded);
    EXPECT_NEAR(decoded->pixels[0], 200, 3);
    EXPECT_NEAR(decoded->pixels[1], 30, 3);
  }
  const auto grey = decode_picture(jpeg_of(8, 8, 1, std::vector<std::uint8_t>(64, 90)), "f");
  EXPECT_EQ(grey->pixels, std::vector<std::uint8_t>(192, 90));
  const auto cmyk = decode_picture(jpeg_of(8, 8, 4, std::vector<std::uint8_t>(256, 128)), "f");
  ASSERT_TRUE(cmyk.has_value()) << message_of(cmyk);
  EXPECT_EQ(cmyk->pixels.size(), 192u);
  EXPECT_NEAR(cmyk->pixels[0], 128 * 128 / 255, 2);  // inverted, as Adobe writes it
}

TEST(Picture, DamageAndLimitsEndWithAnError) {
  EXPECT_FAILS(decode_picture("", "f"), Code::bad_input, "empty");
  EXPECT_FAILS(decode_picture("GIF89a....", "f"), Code::unsupported, "neither JPEG nor PNG");
  const std::string png = png_of(20, 20, PNG_FORMAT_RGB, pattern(1200)),
                    jpeg = jpeg_of(64, 64, 3, pattern(64 * 64 * 3));
  EXPECT_FAILS(decode_picture(png.substr(0, 20), "f"), Code::bad_input, "damaged PNG");
  EXPECT_FAILS(decode_picture(png.substr(0, png.size() - 40), "f"), Code::bad_input, "damaged PNG");
  EXPECT_FAILS(decode_picture(jpeg.substr(0, 10), "f"), Code::bad_input, "damaged JPEG");
  EXPECT_FAILS(decode_picture(jpeg.substr(0, jpeg.size() / 2), "f"), Code::bad_input, "damaged JPEG: it ends early");
  EXPECT_FAILS(decode_picture(png_claiming(30000, 30000), "f"), Code::limit, "30000x30000 pixels, at most 40 million");
  EXPECT_FAILS(decode_picture(png_claiming(0, 5), "f"), Code::bad_input, "damaged PNG");
  EXPECT_FAILS(decode_picture(png_claiming(100, 100), "f"), Code::bad_input, "damaged PNG");
  EXPECT_FAILS(read_picture("/nowhere/x.png"), Code::io, "cannot open");
}

// What a header or a chunk claims takes no memory and no time before it is held against the file's size.
TEST(Picture, ClaimsAreHeldAgainstTheFile) {
  const std::string png = png_of(5, 7, PNG_FORMAT_RGB, pattern(5 * 7 * 3)), huge("\x7F\xFF\xFF\xFFtEXtab", 10);
  const std::size_t header = 8 + 25;
  const auto behind_pixels = decode_picture(png.substr(0, png.size() - 12) + huge, "f");
  ASSERT_TRUE(behind_pixels.has_value()) << message_of(behind_pixels);
  EXPECT_EQ(behind_pixels->pixels, pattern(5 * 7 * 3));
  EXPECT_FAILS(decode_picture(png.substr(0, header) + huge + png.substr(header), "f"), Code::bad_input, "ends early");
  EXPECT_FAILS(decode_picture(png_claiming(6000, 6000), "f"), Code::bad_input, "damaged PNG: it ends early");
  EXPECT_FAILS(decode_picture(png_claiming(1, 70000), "f"), Code::limit, "sides of at most 65535");
  std::string jpeg = jpeg_of(8, 8, 3, std::vector<std::uint8_t>(8 * 8 * 3, 9));
  const std::size_t frame = jpeg.find("\xFF\xC0") + 5;
  jpeg.replace(frame, 4, "\x17\x70\x17\x70");  // 6000 x 6000
  EXPECT_FAILS(decode_picture(jpeg, "f"), Code::bad_input, "damaged JPEG: it ends early");
}

TEST(Picture, ScansAreCounted) {
  std::string jpeg = jpeg_of(64, 64, 3, std::vector<std::uint8_t>(64 * 64 * 3, 9), true);
  EXPECT_TRUE(decode_picture(jpeg, "f").has_value());
  const std::size_t last = jpeg.rfind("\xFF\xDA");
  const std::string scan = jpeg.substr(last, jpeg.size() - 2 - last);
  for (int i = 0; i < 120; ++i) jpeg.insert(jpeg.size() - 2, scan);
  EXPECT_FAILS(decode_picture(jpeg, "f"), Code::bad_input, "more than 100 scans");
}

TEST(Picture, ChangedBytesNeverCrash) {
  Random random(1);
  const std::string files[] = {png_of(9, 9, PNG_FORMAT_RGB, pattern(243)), jpeg_of(24, 24, 3, pattern(24 * 24 * 3)),
                               jpeg_of(24, 24, 3, pattern(24 * 24 * 3), true)};
  int failed = 0;
  for (int round = 0; round < 1500; ++round) {
    std::string bytes = files[round % 3];
    for (int i = 0; i < 4; ++i) bytes[random.below(bytes.size())] = static_cast<char>(random.below(256));
    failed += !decode_picture(bytes, "f").has_value();
  }
  EXPECT_GT(failed, 100);
}

// Expected values are Pillow's resize(..., BILINEAR) of the same pixels.
TEST(Resize, GivesPillowsValues) {
  const Picture source{5, 7, pattern(5 * 7 * 3)};
  EXPECT_EQ(resize_picture(source, 2, 3).pixels,
            (std::vector<std::uint8_t>{113, 97, 134, 154, 131, 111, 134, 169, 128, 93, 115, 152, 131, 108, 129, 152,
                                       149, 83}));
  const std::vector<std::uint8_t> expected = {69,  94,  131, 170, 74,  111, 139, 176, 80,  119, 156, 181, 76,  101, 138,
                                              177, 81,  118, 146, 183, 87,  126, 163, 188, 83,  108, 145, 184, 88,  125,
                                              153, 190, 94,  133, 170, 117, 86,  116, 153, 136, 96,  133, 161, 142, 102,
                                              141, 173, 69,  86,  123, 160, 66,  103, 140, 168, 72,  109, 148, 173, 76,
                                              93,  130, 167, 73,  110, 147, 175, 79,  116, 155, 180, 83};
  EXPECT_EQ(resize_picture(source, 6, 4).pixels, expected);
  EXPECT_EQ(resize_picture(source, 5, 7).pixels, source.pixels);
}

std::vector<std::string> notes_of_nobody;

std::string flat_png(int height, int width, int value = 10) {
  const auto bytes = static_cast<std::size_t>(height) * static_cast<std::size_t>(width) * 3;
  return png_of(height, width, PNG_FORMAT_RGB, std::vector<std::uint8_t>(bytes, static_cast<std::uint8_t>(value)));
}

TEST(ClassFolders, NameFilesInOrderAndCountWhatIsNotRead) {
  const TestFolder folder;
  folder.put("a/2.png", flat_png(4, 4, 20));
  folder.put("a/1.PNG", flat_png(2, 6, 10));
  folder.put("a/notes.txt", "no picture");
  folder.put("a/3.webp", "RIFF");
  folder.put("a/4.webp", "RIFF");
  folder.put("a/more/1.png", flat_png(2, 2));
  folder.put("b/x.jpg", jpeg_of(8, 8, 1, std::vector<std::uint8_t>(64, 30)));
  folder.put("__MACOSX/a/._1.png", "Mac");
  EXPECT_TRUE(has_class_folders(folder.path()));
  std::vector<std::string> notes;
  const auto part = read_class_folders(folder.path(), false, notes);
  ASSERT_TRUE(part.has_value()) << message_of(part);
  EXPECT_EQ(part->labels, (std::vector<std::string>{"a", "a", "b"}));
  ASSERT_EQ(part->split.files.size(), 3u);
  EXPECT_EQ(part->split.files[0].height, 2);
  EXPECT_EQ(part->split.files[0].width, 6);
  EXPECT_TRUE(part->split.pixels.empty());
  const std::string all = notes.at(0) + notes.at(1);
  EXPECT_TRUE(holds(all, "'__MACOSX' is passed over")) << all;
  EXPECT_TRUE(holds(all, "1 .txt, 2 .webp, 1 pictures in folders inside")) << all;
  Split split = part->split;
  split.labels = {0, 0, 1};
  const auto pixels = fit_pictures(split, 3, {}, 2, 2);
  ASSERT_TRUE(pixels.has_value()) << message_of(pixels);
  EXPECT_EQ((*pixels)[0], 10);
  EXPECT_EQ((*pixels)[12], 20);
  EXPECT_EQ((*pixels)[24], 30);
}

// One way from a file to a model's pixels, whoever asks: resized once, by the model's own rules.
TEST(ClassFolders, AreReadByTheModelsPreprocessing) {
  const TestFolder folder;
  std::vector<std::uint8_t> wide;
  for (int i = 0; i < 60 * 150 * 3; ++i) wide.push_back(static_cast<std::uint8_t>(i * 7 % 251 + i / 450));
  for (const char* name : {"train/a/", "train/b/", "test/a/"})
    for (int i = 0; i < 8; ++i) folder.put(name + std::to_string(i) + ".png", png_of(60, 150, PNG_FORMAT_RGB, wide));
  ReadOptions options;
  options.task = Task::image_classification;
  const auto dataset = read_dataset(folder.path(), options);
  ASSERT_TRUE(dataset.has_value()) << message_of(dataset);
  Preprocessing how;
  how.shortest_edge = 28;
  how.crop = true;
  how.crop_height = how.crop_width = 24;
  const Split& test = dataset->part(Part::test);
  const auto got = fit_pictures(test, 1, how, 24, 24);
  ASSERT_TRUE(got.has_value()) << message_of(got);
  std::vector<std::uint8_t> alone(24 * 24 * 3);
  ASSERT_TRUE(fit_picture(Picture{60, 150, wide}, how, 24, 24, alone.data()).has_value());
  EXPECT_EQ(*got, alone);
}

Split of_sizes(std::initializer_list<std::pair<int, int>> sizes) {
  Split split;
  for (const auto& [height, width] : sizes) split.files.push_back({"", "", height, width});
  return split;
}

TEST(ClassFolders, SizeIsTheSetsOwn) {
  const auto size = [](std::initializer_list<std::pair<int, int>> sizes, int height = 0, int width = 0) {
    Split split = of_sizes(sizes);
    std::vector<std::string> notes;
    choose_picture_size(split, height, width, notes);
    return std::to_string(split.height) + "x" + std::to_string(split.width) + (notes.empty() ? "" : " noted");
  };
  EXPECT_EQ(size({{1, 1}, {24, 24}, {24, 24}}), "24x24 noted");  // not the first one's
  EXPECT_EQ(size({{28, 28}, {28, 28}}), "28x28");
  EXPECT_EQ(size({{16, 48}, {16, 48}}), "16x48");
  EXPECT_EQ(size({{37, 37}}), "40x40 noted");  // a prime side has patches of 1 pixel only
  EXPECT_EQ(size({{1, 1}}), "8x8 noted");
  EXPECT_EQ(size({{480, 640}, {480, 640}}), "64x64 noted");
  EXPECT_EQ(size({{30, 50}, {20, 52}, {31, 49}}), "40x40 noted");
  EXPECT_EQ(size({{1, 1}, {24, 24}}, 32, 48), "32x48 noted");
}

TEST(PictureFolder, WithoutLabelsIsCarvedIntoSplits) {
  const TestFolder folder;
  for (int i = 0; i < 40; ++i)
    folder.put("p" + std::to_string(10 + i) + (i % 2 ? ".png" : ".PNG"),
               png_of(3, 3, PNG_FORMAT_RGB, std::vector<std::uint8_t>(27, static_cast<std::uint8_t>(i))));
  folder.put("notes.md", "no picture");
  fs::create_directories(folder.path() / "empty");
  ReadOptions options;
  options.task = Task::image_classification;
  const auto got = read_dataset(folder.path(), options);
  ASSERT_TRUE(got.has_value()) << message_of(got);
  EXPECT_TRUE(got->label_names.empty());
  EXPECT_EQ(got->part(Part::train).size(), 30u);
  EXPECT_EQ(got->part(Part::tune).size(), 5u);
  EXPECT_EQ(got->part(Part::calibrate).size(), 5u);
  EXPECT_EQ(got->part(Part::test).size(), 0u);
  std::vector<int> seen(40);
  for (const Part part : kAllParts)
    if (const auto pixels = fit_pictures(got->part(part), got->part(part).size(), {}, 3, 3))
      for (std::size_t i = 0; i < pixels->size(); i += 27) ++seen[(*pixels)[i]];
  EXPECT_EQ(seen, std::vector<int>(40, 1));
  EXPECT_EQ(got->part(Part::train).height, 3);
  EXPECT_EQ(read_dataset(folder.path(), options)->fingerprint, got->fingerprint);
  options.image_height = 5;
  options.image_width = 4;
  EXPECT_EQ(read_dataset(folder.path(), options)->part(Part::train).picture_bytes(), 60u);
}

TEST(PictureFolder, WhatElseIsThereDecidesOrIsRefused) {
  const TestFolder folder;
  ReadOptions options;
  options.task = Task::image_classification;
  for (int i = 0; i < 20; ++i) folder.put(std::to_string(i) + ".png", png_of(2, 2, PNG_FORMAT_RGB, pattern(12)));
  EXPECT_TRUE(read_dataset(folder.path(), options).has_value());
  EXPECT_FAILS(read_dataset(folder.path(), {}), Code::bad_input, "no training data found for text-classification");
  folder.put("20.png", "not a picture");
  EXPECT_FAILS(read_dataset(folder.path(), options), Code::unsupported, "20.png'");
  fs::remove(folder.path() / "20.png");
  folder.put("cats/1.png", png_of(2, 2, PNG_FORMAT_RGB, pattern(12)));  // labels after all, but of no split
  EXPECT_FAILS(read_dataset(folder.path(), options), Code::bad_input, "no training data found");
  fs::remove_all(folder.path() / "cats");
  folder.put("train/a/1.png", png_of(2, 2, PNG_FORMAT_RGB, pattern(12)));
  EXPECT_FAILS(read_dataset(folder.path(), options), Code::bad_input, "no test data found");
  const TestFolder empty;
  EXPECT_FAILS(read_dataset(empty.path(), options), Code::bad_input, "no training data found");
  EXPECT_FAILS(read_picture_folder(empty.path(), false, notes_of_nobody), Code::bad_input,
               "holds no JPEG or PNG picture");
}

TEST(ClassFolders, WithoutPicturesOrWithDamagedOnesAreRefused) {
  const TestFolder folder;
  fs::create_directories(folder.path() / "a");
  std::vector<std::string> notes;
  const auto read = [&](bool check) { return read_class_folders(folder.path(), check, notes); };
  EXPECT_FALSE(has_class_folders(folder.path()));
  EXPECT_FAILS(read(false), Code::bad_input, "no JPEG or PNG picture in this class folder");
  folder.put("a/x.webp", "RIFF");
  EXPECT_FAILS(read(false), Code::bad_input, "in this class folder; it holds 1 .webp");
  folder.put("a/x.png", png_of(2, 2, PNG_FORMAT_RGB, pattern(12)).substr(0, 30));
  EXPECT_FAILS(read(false), Code::bad_input, "x.png'");
  folder.put("a/x.png", png_of(2, 2, PNG_FORMAT_RGB, pattern(12)).substr(0, 44));
  EXPECT_TRUE(read(false).has_value());  // its header is there
  EXPECT_FAILS(read(true), Code::bad_input, "x.png'");
  const TestFolder empty;
  EXPECT_FAILS(read_class_folders(empty.path(), false, notes), Code::bad_input, "no class folders");
  const TestFolder data;
  data.put("train/a/1.webp", "RIFF");
  ReadOptions options;
  options.task = Task::image_classification;
  EXPECT_FAILS(read_dataset(data.path(), options), Code::bad_input,
               "train is there, but no class folder in it has JPEG or PNG pictures (a; it holds 1 .webp)");
}

TEST(ClassFolders, OfNumbersMayHaveTwoOrders) {
  const auto unclear = [](std::initializer_list<const char*> classes) {
    const TestFolder folder;
    for (const char* part : {"train/", "test/"})
      for (const char* name : classes)
        for (int i = 0; i < 4; ++i)
          folder.put(std::string(part) + name + "/" + std::to_string(i) + ".png", flat_png(8, 8, i));
    ReadOptions options;
    options.task = Task::image_classification;
    const auto dataset = read_dataset(folder.path(), options);
    EXPECT_TRUE(dataset.has_value()) << message_of(dataset);
    return dataset && dataset->numbered_folders;
  };
  EXPECT_TRUE(unclear({"1", "2", "10"}));
  EXPECT_FALSE(unclear({"1", "2", "3"}));
  EXPECT_FALSE(unclear({"01", "02", "10"}));
  EXPECT_FALSE(unclear({"1", "2", "10a"}));
}

}  // namespace
}  // namespace fathom::data
