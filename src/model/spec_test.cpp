#include "model/spec.h"

#include <gtest/gtest.h>

#include <functional>

namespace fathom {
namespace {

ModelSpec text_spec() {
  ModelSpec spec;
  spec.label_names = {"no", "yes"};
  return spec;
}

ModelSpec image_spec() {
  ModelSpec spec;
  spec.modality = Modality::image;
  spec.norm = NormOrder::pre;
  spec.label_names = {"a", "b", "c"};
  spec.pixel_mean = {0.485f, 0.456f, 0.406f};
  spec.layer_norm_eps = 1e-6f;
  return spec;
}

void refused(const Result<ModelSpec>& result, const std::string& word) {
  ASSERT_FALSE(result.has_value()) << word;
  EXPECT_EQ(result.error().code, Code::corrupt_bundle);
  EXPECT_NE(result.error().message.find(word), std::string::npos) << result.error().message;
  EXPECT_NE(result.error().message.find("config.json"), std::string::npos);
}

TEST(Spec, RoundTrip) {
  for (const ModelSpec& spec : {text_spec(), image_spec()}) {
    const std::string text = spec_to_json(spec).dump();
    const auto json = parse_json(text, "test");
    ASSERT_TRUE(json.has_value());
    const auto back = spec_from_json(*json, "config.json");
    ASSERT_TRUE(back.has_value()) << back.error().message;
    EXPECT_EQ(*back, spec);
    EXPECT_EQ(spec_to_json(*back).dump(), text);
  }
  EXPECT_EQ(spec_to_json(text_spec())["layer_norm_eps"].dump(), "1e-12");
  EXPECT_FALSE(spec_to_json(text_spec()).contains("patch"));
  EXPECT_FALSE(spec_to_json(image_spec()).contains("vocab"));
}

TEST(Spec, StrictBothWays) {
  for (const ModelSpec& spec : {text_spec(), image_spec()}) {
    const Json whole = spec_to_json(spec);
    for (const auto& [key, value] : whole.items()) {
      Json json = whole;
      json.erase(key);
      const bool newer = key == "task_head" || key == "prefix_tokens";  // older bundles lack them
      if (newer)
        EXPECT_TRUE(spec_from_json(json, "config.json").has_value()) << key;
      else
        refused(spec_from_json(json, "config.json"), "'" + key + "'");
      for (const Json& wrong :
           {Json(nullptr), Json("nonsense"), Json(-1), Json(1e300), Json(Json::array({1})), Json::object()}) {
        json = whole;
        json[key] = wrong;
        if (key == "pixel_mean" && wrong == Json(-1)) continue;
        refused(spec_from_json(json, "config.json"), "'" + key + "'");
      }
    }
    Json json = whole;
    json["surprise"] = 1;
    refused(spec_from_json(json, "config.json"), "'surprise'");
  }
  refused(spec_from_json(Json::array(), "config.json"), "object");
}

TEST(Spec, Ranges) {
  const auto wrong = [](const ModelSpec& base, const std::function<void(ModelSpec&)>& change, const std::string& word) {
    ModelSpec spec = base;
    change(spec);
    const Status status = validate(spec, "config.json");
    ASSERT_FALSE(status.has_value()) << word;
    EXPECT_NE(status.error().message.find(word), std::string::npos) << status.error().message;
    refused(spec_from_json(spec_to_json(spec), "config.json"), word);
  };
  const ModelSpec text = text_spec(), image = image_spec();
  EXPECT_TRUE(validate(text, "x").has_value());
  EXPECT_TRUE(validate(image, "x").has_value());
  wrong(
      text, [](ModelSpec& s) { s.layers = 0; }, "'layers'");
  wrong(
      text, [](ModelSpec& s) { s.layers = 65; }, "'layers'");
  wrong(
      text, [](ModelSpec& s) { s.heads = 7; }, "multiple of 'heads'");
  wrong(
      text, [](ModelSpec& s) { s.hidden = 1000000; }, "'hidden'");
  wrong(
      text, [](ModelSpec& s) { s.layer_norm_eps = 0; }, "'layer_norm_eps'");
  wrong(
      text, [](ModelSpec& s) { s.attention_window = -1; }, "'attention_window'");
  wrong(
      text, [](ModelSpec& s) { s.max_tokens = 0; }, "'max_tokens'");
  wrong(
      text, [](ModelSpec& s) { s.label_names = {"one"}; }, "'label_names'");
  wrong(
      text,
      [](ModelSpec& s) {
        s.label_names = {"a", ""};
      },
      "empty label");
  wrong(
      image, [](ModelSpec& s) { s.patch = 33; }, "multiple of 'patch'");
  wrong(
      image, [](ModelSpec& s) { s.pixel_std[2] = 0; }, "'pixel_std'");
  wrong(
      image, [](ModelSpec& s) { s.image_height = s.image_width = 4096, s.patch = 1; }, "tokens");
  wrong(
      text, [](ModelSpec& s) { s.task_head = TaskHead::norm_distilled; }, "norm_distilled");
  wrong(
      text, [](ModelSpec& s) { s.task_head = TaskHead::pooler_tanh, s.task_head_hidden = 0; }, "task_head_hidden");
  wrong(
      image, [](ModelSpec& s) { s.task_head = TaskHead::norm_cls, s.task_head_hidden = 8; }, "task_head_hidden");
  wrong(
      image, [](ModelSpec& s) { s.prefix_tokens = 3; }, "'prefix_tokens'");
}

TEST(Spec, OlderFilesSayThatHeadsAreNotShared) {
  Json json = spec_to_json(text_spec());
  EXPECT_FALSE(json.contains("heads_shared"));
  json["heads_shared"] = false;
  EXPECT_TRUE(spec_from_json(json, "config.json").has_value());
  for (const Json& wrong : {Json(true), Json(0)}) {
    json["heads_shared"] = wrong;
    const auto read = spec_from_json(json, "config.json");
    ASSERT_FALSE(read.has_value());
    EXPECT_NE(read.error().message.find("'heads_shared'"), std::string::npos) << read.error().message;
  }
}

TEST(Spec, OneNumberStandsForAllChannels) {
  Json json = spec_to_json(image_spec());
  EXPECT_EQ(json["pixel_std"], Json(0.5));
  EXPECT_EQ(json["pixel_mean"].size(), 3u);
  json["pixel_mean"] = 0.25;
  const auto read = spec_from_json(json, "config.json");
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->pixel_mean, (std::array<float, 3>{0.25f, 0.25f, 0.25f}));
}

TEST(Spec, ShapesOfHeads) {
  ModelSpec spec = text_spec();  // exits read [CLS; mean]
  spec.task_head = TaskHead::pooler_tanh, spec.task_head_hidden = 768;
  const HeadShape exit = spec.head_shape(1), last = spec.head_shape(spec.layers);
  EXPECT_EQ(exit.input, 1536);
  EXPECT_EQ(exit.norm, 1536);
  EXPECT_EQ(last.input, 768);
  EXPECT_EQ(last.norm, 0);
  EXPECT_EQ(last.out_input(), 768);
  spec = image_spec();
  spec.prefix_tokens = 2, spec.task_head = TaskHead::norm_distilled, spec.task_head_hidden = 0;
  EXPECT_EQ(spec.tokens(), 51);
  EXPECT_EQ(spec.head_shape(spec.layers).input, 1536);
  EXPECT_EQ(spec.head_shape(spec.layers).norm, 768);
}

TEST(Spec, DecisionIsSizedByTheBackbone) {
  ModelSpec spec = text_spec();
  size_decision(spec);  // 768: the paper's sizes
  EXPECT_EQ(spec.extractor, ExtractorSpec{});
  EXPECT_EQ(spec.policy_hidden, 128);
  EXPECT_EQ(spec.exit_head_hidden, 256);
  spec.hidden = 128;  // 128 / 768 = 1/6: 21.3, 10.7, 21.3, 42.7 rounded up to eights
  size_decision(spec);
  EXPECT_EQ(spec.extractor, (ExtractorSpec{24, 16, 24, 48}));
  EXPECT_EQ(spec.policy_hidden, 24);
  EXPECT_EQ(spec.exit_head_hidden, 128);
  spec.hidden = 16;
  size_decision(spec);
  EXPECT_EQ(spec.extractor, (ExtractorSpec{8, 8, 8, 8}));
  EXPECT_EQ(spec.policy_hidden, 16);
}

}  // namespace
}  // namespace fathom
