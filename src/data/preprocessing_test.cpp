#include "data/preprocessing.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "data/test_files.h"

namespace fathom::data {
namespace {

Picture plain(int height, int width) {
  return {height, width,
          std::vector<std::uint8_t>(static_cast<std::size_t>(height) * static_cast<std::size_t>(width) * 3, 200)};
}

TEST(Preprocessing, ReadsWhatTheFileSaysAndDefaultsTheRest) {
  const auto vit = parse_preprocessing("{}", "f");
  ASSERT_TRUE(vit.has_value()) << message_of(vit);
  EXPECT_EQ(vit->output().height, 224);
  EXPECT_EQ(vit->filter, Filter::bilinear);
  EXPECT_FALSE(vit->crop);
  const auto deit =
      parse_preprocessing(R"({"image_processor_type": "DeiTImageProcessorFast", "size": null, "resample": null})", "f");
  ASSERT_TRUE(deit.has_value()) << message_of(deit);
  EXPECT_EQ(deit->height, 256);
  EXPECT_EQ(deit->output().width, 224);
  EXPECT_EQ(deit->filter, Filter::bicubic);
  const auto shortest = parse_preprocessing(
      R"({"size": 30, "default_to_square": false, "return_tensors": "pt", "do_pad": false, "crop_pct": null})", "f");
  ASSERT_TRUE(shortest.has_value()) << message_of(shortest);
  EXPECT_EQ(shortest->shortest_edge, 30);
  EXPECT_EQ(shortest->output().height, 0);  // depends on the picture
}

TEST(Preprocessing, RefusesByNameWhatWouldChangePixels) {
  const std::pair<const char*, const char*> bad[] = {
      {R"({"image_processor_type": "CLIPImageProcessor"})", "CLIPImageProcessor"},
      {R"({"resample": 1})", "'resample' 1 (lanczos)"},
      {R"({"resample": 4})", "'resample' 4 (box)"},
      {R"({"resample": 99999999999999999999})", "'resample'"},
      {R"({"do_pad": true})", "'do_pad'"},
      {R"({"do_flip_channel_order": true})", "'do_flip_channel_order'"},
      {R"({"crop_pct": 0.9})", "'crop_pct'"},
      {R"({"size": {"longest_edge": 9}})", "'size'"},
      {R"({"size": {"max_height": 9, "max_width": 9}})", "'max_height'"},
      {R"({"size": {"height": 9}})", "'size'"},
      {R"({"crop_size": {"shortest_edge": 9}})", "'crop_size'"},
  };
  for (const auto& [text, name] : bad) {
    const auto result = parse_preprocessing(text, "f");
    ASSERT_FALSE(result.has_value()) << text;
    EXPECT_NE(result.error().message.find(name), std::string::npos) << result.error().message;
    EXPECT_FALSE(result.error().hint.empty());
  }
  for (const char* text :
       {"", "[]", "3", R"({"size": 0})", R"({"size": -5})", R"({"size": "big"})", R"({"size": [1]})",
        R"({"size": 1e9})", R"({"size": 18446744073709551615})", R"({"size": {"height": 2.5, "width": 3}})",
        R"({"do_resize": 1})", R"({"image_mean": [0.5]})", R"({"image_std": 0})", R"({"image_std": [1, 1, "x"]})",
        R"({"rescale_factor": 0})", R"({"image_processor_type": 5})", R"({"resample": 2.5})"})
    EXPECT_FAILS(parse_preprocessing(text, "f"), Code::bad_input, "f");
}

TEST(Preprocessing, TimmConfigurationsAreRead) {
  const auto how = parse_timm_preprocessing(
      R"({"pretrained_cfg": {"input_size": [3, 224, 224], "interpolation": "bicubic", "crop_pct": 0.9}})", "f");
  ASSERT_TRUE(how.has_value()) << message_of(how);
  EXPECT_EQ(how->shortest_edge, 248);
  EXPECT_EQ(how->output().height, 224);
  EXPECT_EQ(how->mean[0], 0.485);
  EXPECT_FAILS(parse_timm_preprocessing("{}", "f"), Code::unsupported, "input_size");
  EXPECT_FAILS(parse_timm_preprocessing(R"({"input_size": [3, 2, 4]})", "f"), Code::unsupported, "input_size");
  EXPECT_FAILS(parse_timm_preprocessing(R"({"input_size": [3, 9, 9], "interpolation": "random"})", "f"),
               Code::unsupported, "interpolation");
  EXPECT_FAILS(parse_timm_preprocessing(R"({"input_size": [3, 9, 9], "crop_mode": "border"})", "f"), Code::unsupported,
               "crop_mode");
  EXPECT_FAILS(parse_timm_preprocessing(R"({"input_size": [3, 9, 9], "crop_pct": 1.5})", "f"), Code::bad_input,
               "crop_pct");
  EXPECT_FAILS(parse_timm_preprocessing(R"({"input_size": [3, 9000, 9000], "crop_pct": 0.1})", "f"), Code::bad_input,
               "crop_pct");
  EXPECT_FAILS(parse_timm_preprocessing(R"({"pretrained_cfg": []})", "f"), Code::unsupported, "input_size");
}

TEST(Preprocessing, NarrowPicturesDoNotBecomeHugeOnes) {
  const auto shortest = parse_preprocessing(R"({"size": {"shortest_edge": 224}})", "f");
  EXPECT_FAILS(preprocess(plain(1, 1000000), *shortest), Code::limit, "at most 40 million");
  EXPECT_FAILS(preprocess(plain(1000000, 1), *shortest), Code::limit, "at most 40 million");
  const auto square = parse_preprocessing("{}", "f");
  const auto capped = parse_preprocessing(R"({"size": {"shortest_edge": 20, "longest_edge": 30}})", "f");
  EXPECT_FAILS(preprocess(plain(1, 1000000), *capped), Code::limit, "vanish");
  for (const auto& [height, width] : {std::pair(1, 2000000), std::pair(2000000, 1)}) {
    const auto out = preprocess(plain(height, width), *square);
    ASSERT_TRUE(out.has_value()) << message_of(out);
    EXPECT_EQ(out->pixels, plain(224, 224).pixels);
  }
  EXPECT_FAILS(preprocess(Picture{}, *square), Code::invalid_argument, "without pixels");
}

TEST(Preprocessing, ChangedBytesGiveSettingsOrAnError) {
  const std::string text =
      R"({"image_processor_type": "DeiTImageProcessor", "size": {"height": 32, "width": 24}, "crop_size": [9, 9],
    "resample": 3, "image_mean": [0.5, 0.5, 0.5], "image_std": 0.5, "rescale_factor": 0.5, "do_resize": true,
    "do_pad": false})";
  ASSERT_TRUE(parse_preprocessing(text, "f").has_value());
  Random random(5);
  int failed = 0;
  for (int round = 0; round < 5000; ++round) {
    std::string bytes = text;
    for (int i = 0; i < 2; ++i) bytes[random.below(bytes.size())] = static_cast<char>(32 + random.below(95));
    const auto how = parse_preprocessing(bytes, "f");
    failed += !how.has_value();
    if (how) {
      EXPECT_TRUE(!how->resize || how->height + how->shortest_edge > 0) << bytes;
    }
  }
  EXPECT_GT(failed, 1000);
}

}  // namespace
}  // namespace fathom::data
