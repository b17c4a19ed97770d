// The public Stream: every answer is the one classify gives; back-pressure; refusals.
#define FATHOM_BUILDING_API
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "bundle/bundle.h"
#include "data/tokenizer.h"
#include "engine/random_bundle.h"
#include "fathom/fathom.hpp"

namespace fathom::api {
namespace {

class PublicStream : public ::testing::Test {
 protected:
  void TearDown() override { fs::remove_all(folder_); }
  v1::Model open(Modality modality, std::size_t most) {
    ModelSpec spec = engine::small_spec(modality);
    std::optional<data::Tokenizer> tokenizer;
    if (modality == Modality::text) {
      data::TokenizerOptions options;
      options.min_count = 1;
      auto trained = data::Tokenizer::train({"the quick brown fox jumps over the lazy dog"}, options);
      EXPECT_TRUE(trained.has_value());
      tokenizer = std::move(*trained);
      spec.vocab = tokenizer->vocab_size();
    }
    policy::Policy policy = engine::random_policy(spec, 7);
    policy.score = policy::Score::confidence;
    policy.lambda = 0.5f;
    EXPECT_TRUE(engine::write_random_bundle(folder_, spec, 7, policy).has_value());
    if (tokenizer) {
      Json fathom = (*Bundle::open(folder_))->fathom();
      std::map<std::string, fs::path> kept;
      for (const auto& [name, unused] : fathom["files"].items()) kept[name] = folder_ / name;
      fathom.erase("files");
      EXPECT_TRUE(write_bundle(folder_,
                               {{"tokenizer.json", tokenizer->to_json()}, {"vocab.txt", tokenizer->vocab_text()}},
                               fathom, kept)
                      .has_value());
    }
    auto model = v1::Model::open(folder_.string(), {1, "", most});
    EXPECT_TRUE(model.has_value()) << model.error().text();
    return *model;
  }
  template <class Input>
  void expect_answers_of_classify(const v1::Model& model, const std::vector<Input>& inputs, std::size_t most) {
    const std::span<const Input> all(inputs);
    const auto expected = model.classify(all);
    ASSERT_TRUE(expected.has_value()) << expected.error().text();
    auto stream = model.stream();
    ASSERT_TRUE(stream.has_value()) << stream.error().text();
    std::vector<bool> seen(inputs.size());
    for (std::size_t next = 0; next < inputs.size() || stream->held() > 0;) {
      const std::size_t room = stream->room();
      const auto taken = stream->submit(all.subspan(next));
      ASSERT_TRUE(taken.has_value()) << taken.error().text();
      EXPECT_EQ(*taken, std::min(room, inputs.size() - next));
      EXPECT_LE(stream->held(), most);
      next += *taken;
      for (const v1::Finished& done : stream->drain()) {
        ASSERT_LT(done.ticket, inputs.size());
        EXPECT_FALSE(seen[done.ticket]);
        seen[done.ticket] = true;
        const v1::Answer& want = (*expected)[done.ticket];
        EXPECT_EQ(done.answer.label, want.label);
        EXPECT_EQ(done.answer.confidence, want.confidence);
        EXPECT_EQ(done.answer.trajectory, want.trajectory);
        EXPECT_EQ(done.answer.macs, want.macs);
        EXPECT_EQ(done.answer.full_macs, want.full_macs);
        EXPECT_EQ(done.answer.cut, want.cut);
      }
    }
    EXPECT_EQ(std::count(seen.begin(), seen.end(), true), static_cast<std::ptrdiff_t>(inputs.size()));
    EXPECT_TRUE(stream->drain().empty());
  }
  fs::path folder_ = fs::temp_directory_path() / ("fathom_stream_" + std::to_string(::getpid()));
};

TEST_F(PublicStream, TextsAnswerAsClassifyDoes) {
  const v1::Model model = open(Modality::text, 4);
  std::vector<std::string> texts;
  for (int i = 0; i < 30; ++i)
    texts.push_back("the" + std::string(static_cast<std::size_t>(i % 7), 'x') +
                    (i % 3 == 0 ? " lazy dog" : " quick brown fox jumps over the dog over the fox over the dog"));
  expect_answers_of_classify(model, texts, 4);

  auto stream = model.stream();
  const std::vector<std::uint8_t> pixels(16 * 16 * 3, 90);
  const v1::Picture picture{pixels.data(), 16, 16};
  EXPECT_EQ(stream->submit(std::span(&picture, 1)).error().code, 202);
  EXPECT_EQ(stream->held(), 0u);
  v1::Ask ask;
  ask.lambda = 3.0f;
  EXPECT_EQ(model.stream(ask).error().code, 202);
}

TEST_F(PublicStream, PicturesAnswerAsClassifyDoes) {
  const v1::Model model = open(Modality::image, 3);
  std::vector<std::vector<std::uint8_t>> pixels;
  std::vector<v1::Picture> pictures;
  for (int i = 0; i < 10; ++i) pixels.emplace_back(20 * 24 * 3, static_cast<std::uint8_t>(25 * i));
  for (const auto& one : pixels) pictures.push_back({one.data(), 20, 24});
  expect_answers_of_classify(model, pictures, 3);

  auto stream = model.stream();
  const std::vector<v1::Picture> bad = {pictures[0], {nullptr, 4, 4}};
  EXPECT_EQ(stream->submit(bad).error().code, 202);
  EXPECT_EQ(stream->held(), 0u);
}

}  // namespace
}  // namespace fathom::api
