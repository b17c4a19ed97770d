#include <gtest/gtest.h>

#include "train/backbone.h"
#include "train/mixing.h"
#include "train/test_models.h"

namespace fathom::train {
namespace {

using testing::random_texts;

ModelSpec small_spec(NormOrder norm, int window, int heads, Attention attention = Attention::softmax) {
  ModelSpec spec = testing::small_spec(norm, 2, heads, 40);
  spec.attention = attention;
  spec.attention_window = window;
  return spec;
}

// Loss and gradients of the whole model, with fused or with plain layers.
std::pair<double, torch::Tensor> gradient(Backbone& backbone, Heads& heads, const FlatParameters& flat,
                                          const Encoded& data, bool fused) {
  backbone.set_fused(fused);
  flat.gradients().zero_();
  auto h = backbone.embed(data);
  const auto mask = backbone.attention_mask(data);
  for (int l = 0; l < backbone.spec().layers; ++l) h = backbone.layer(l, h, mask);
  const auto loss = torch::nll_loss(torch::log_softmax(heads.logits(2, backbone.pooled(h, data)), 1), data.labels);
  loss.backward();
  return {loss.item<double>(), flat.gradients().clone()};
}

void expect_plain(const ModelSpec& spec, std::int64_t texts, float weights = 1) {
  torch::manual_seed(7);
  Backbone backbone(spec);
  Heads heads_module(spec);
  FlatParameters flat(backbone.parameters());
  flat.values().mul_(weights);
  const auto data = random_texts(spec, texts);
  const auto [loss, g] = gradient(backbone, heads_module, flat, data, true);
  const auto [expected_loss, expected] = gradient(backbone, heads_module, flat, data, false);
  EXPECT_NEAR(loss, expected_loss, 1e-5);
  EXPECT_LT((g - expected).abs().max().item<double>(), 1e-4 * (1 + expected.abs().max().item<double>()))
      << "window " << spec.attention_window << ", heads " << spec.heads;
  EXPECT_GT(expected.abs().max().item<double>(), 1e-4);
}

TEST(FusedLayer, EqualsPlainOperatorsInValueAndGradient) {
  for (const NormOrder norm : {NormOrder::pre, NormOrder::post})
    for (const int window : {0, 1, 6})
      for (const int heads : {1, 2, 4}) expect_plain(small_spec(norm, window, heads), 9);
}

TEST(FusedLayer, LinearAttentionEqualsPlainOperators) {
  for (const NormOrder norm : {NormOrder::pre, NormOrder::post})
    for (const int heads : {1, 2, 4})
      for (const float weights : {1.0f, 4.0f}) expect_plain(small_spec(norm, 0, heads, Attention::linear), 9, weights);
}

TEST(FusedLayer, LongTextsEqualPlainOperators) {  // softmax by blocks of rows
  auto spec = small_spec(NormOrder::pre, 0, 2);
  spec.max_tokens = static_cast<int>(kLongTokens) + 50;
  expect_plain(spec, 4);
  spec.attention = Attention::linear;
  expect_plain(spec, 4);
}

TEST(FusedLayer, DropoutIsDrawnFromTheModulesOwnSeed) {
  const auto spec = small_spec(NormOrder::pre, 0, 4);
  torch::manual_seed(3);
  Backbone backbone(spec);
  backbone.set_dropout(0.5);
  const auto data = random_texts(spec, 8);
  const auto pass = [&](std::uint64_t seed, bool training) {
    backbone.train(training);
    backbone.seed_dropout(seed);
    return backbone.layer(0, backbone.embed(data), backbone.attention_mask(data)).detach();
  };
  EXPECT_TRUE(pass(1, true).equal(pass(1, true)));
  EXPECT_FALSE(pass(1, true).equal(pass(2, true)));
  EXPECT_TRUE(pass(1, false).equal(pass(2, false)));
}

TEST(FusedLayer, PaddingChangesNothing) {
  for (const Attention attention : {Attention::softmax, Attention::linear}) {
    const auto spec = small_spec(NormOrder::pre, 0, 4, attention);
    torch::manual_seed(3);
    Backbone backbone(spec);
    Heads heads(spec);
    const auto data = random_texts(spec, 8);
    const auto together = all_logits(backbone, heads, data, 8);
    const auto alone = all_logits(backbone, heads, data, 1);
    EXPECT_LT((together - alone).abs().max().item<double>(), 1e-5);
  }
}

}  // namespace
}  // namespace fathom::train
