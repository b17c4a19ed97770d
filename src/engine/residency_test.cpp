// A memory budget: which layers stay, what leaves memory, and that no answer changes.
#include "engine/residency.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>

#include "base/file.h"
#include "base/test_memory.h"
#include "engine/outlook.h"
#include "engine/parts.h"
#include "engine/test_requests.h"

namespace fathom::engine {
namespace {

using testing::Loaded;

constexpr std::size_t kLayer = std::size_t{4} << 20, kLayers = 6;
constexpr std::size_t kEnds = std::size_t{4} << 20;  // large pages reach over the two ends of a layer

// A file of kLayers layers of kLayer bytes, mapped.
class ResidencyTest : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(folder_);
    ASSERT_TRUE(write_file_atomic(path(), std::string(kLayers * kLayer, 'w')));
    file_ = testing::must(MappedFile::open(path()));
    for (std::size_t l = 0; l < kLayers; ++l) layers_.push_back(file_.bytes().subspan(l * kLayer, kLayer));
  }
  void TearDown() override {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }
  fs::path path() const { return folder_ / "weights.bin"; }

  std::size_t mapped_bytes() const { return fathom::testing::mapped_bytes(path()); }

  // One input that runs the first `depth` layers, each of which is read.
  void run(Residency& residency, std::size_t depth) {
    residency.start(1);
    for (std::size_t l = 0; l < depth; ++l) {
      residency.enter(l, 1);
      for (const std::byte b : layers_[l]) sum_ += static_cast<std::uint64_t>(b);
    }
  }

  fs::path folder_ = fs::temp_directory_path() / ("fathom_residency_" + std::to_string(::getpid()));
  MappedFile file_;
  std::vector<std::span<const std::byte>> layers_;
  std::uint64_t sum_ = 0;
};

TEST_F(ResidencyTest, EvictedLayersLeaveMemory) {
  for (const bool forget : {false, true}) {
    Residency residency(layers_, 3 * kLayer, forget);
    for (int i = 0; i < 4; ++i) {
      run(residency, kLayers);
      EXPECT_LE(residency.report().most_held_bytes, 3 * kLayer);
      EXPECT_LE(mapped_bytes(), 3 * kLayer + kEnds) << "input " << i << (forget ? ", forgetting" : "");
    }
    EXPECT_EQ(residency.report().hits + residency.report().read_ahead + residency.report().misses, 4 * kLayers);
    EXPECT_GT(residency.report().evictions, 0u);
  }
  EXPECT_EQ(sum_, 8 * kLayers * kLayer * std::uint64_t{'w'});
}

TEST_F(ResidencyTest, OneLayerIsEnough) {
  Residency residency(layers_, kLayer, false);
  run(residency, kLayers);
  EXPECT_EQ(residency.report().misses, kLayers);
  EXPECT_EQ(residency.report().evictions, kLayers - 1);
  EXPECT_EQ(residency.report().most_held_bytes, kLayer);
}

// A scan over more layers than fit: keeping the least recent ones serves some of them, forgetting them first would
// serve none.
TEST_F(ResidencyTest, AScanKeepsItsFirstLayers) {
  Residency residency(layers_, 4 * kLayer, false);
  run(residency, kLayers);
  for (int i = 0; i < 3; ++i) {
    const std::uint64_t before = residency.report().hits;
    run(residency, kLayers);
    EXPECT_GE(residency.report().hits - before, 2u);
  }
}

// Nine of ten inputs stop at layer 3: the first three stay, and those inputs never wait.
TEST_F(ResidencyTest, LayersStayInProportionToHowOftenTheyAreChosen) {
  Residency residency(layers_, 4 * kLayer, false);
  run(residency, 3);
  std::uint64_t waits = 0;
  for (int i = 1; i <= 100; ++i) {
    const auto before = residency.report();
    run(residency, i % 10 == 0 ? kLayers : 3);
    const auto after = residency.report();
    if (i % 10 != 0) waits += after.misses + after.read_ahead - before.misses - before.read_ahead;
  }
  EXPECT_EQ(waits, 0u);
  EXPECT_GT(residency.share(2), 0.99);
  EXPECT_LT(residency.share(5), 0.2);
  EXPECT_GT(residency.share(5), 0.02);
}

TEST_F(ResidencyTest, WhatATrajectoryNamesIsReadAhead) {
  Residency residency(layers_, 2 * kLayer, false);
  residency.start(1);
  residency.expect(0b100101);
  for (const std::size_t l : {0u, 2u, 5u}) residency.enter(l, 1);
  EXPECT_EQ(residency.report().misses, 1u);
  EXPECT_EQ(residency.report().read_ahead, 2u);
  EXPECT_LE(residency.report().most_held_bytes, 2 * kLayer);
}

// Half of the inputs stop at layer 2: the first input already finds out what is worth reading ahead.
TEST_F(ResidencyTest, BeginsWithWhatTheCalibrateSplitDid) {
  const double shares[] = {1, 1, 0.3, 0.3, 0.3, 0.3};
  Residency residency(layers_, 4 * kLayer, false);
  residency.seed(shares);
  run(residency, 2);
  EXPECT_EQ(residency.report().misses, 1u);      // the first layer
  EXPECT_EQ(residency.report().read_ahead, 1u);  // the second; without the seed a miss
  EXPECT_GT(residency.share(1), residency.share(2));
  Residency blind(layers_, 4 * kLayer, false);
  run(blind, 2);
  EXPECT_EQ(blind.report().misses, 2u);
}

TEST_F(ResidencyTest, TheOutlookDecidesForOneLayer) {
  Residency residency(layers_, 4 * kLayer, false);
  residency.start(1);
  residency.outlook(0.9);
  residency.enter(0, 1);  // reads layer 1 ahead
  residency.outlook(0.1);
  residency.enter(1, 1);
  residency.enter(2, 1);  // nobody expected it
  EXPECT_EQ(residency.report().read_ahead, 1u);
  EXPECT_EQ(residency.report().misses, 2u);
}

TEST(Outlook, BeginsWithTheSeedAndLearnsByTheScore) {
  Outlook outlook(3, 2);
  EXPECT_DOUBLE_EQ(outlook.goes_on(1, 0), 0.5);
  const double exits[] = {0.2, 0.4, 0.4};
  outlook.seed(exits);
  EXPECT_NEAR(outlook.goes_on(1, 0), 0.8, 1e-12);
  EXPECT_NEAR(outlook.goes_on(2, 0), 0.5, 1e-12);  // half of those that are left
  for (int i = 0; i < 200; ++i) {  // near the threshold at exit 1: stops at 2; far from it: goes on
    const bool near = i % 2 == 0;
    outlook.begin(1);
    outlook.learn(1, 1, near ? 0.95 : 0.3, false);
    outlook.learn(2, 1, near ? 1.2 : 0.4, near);
  }
  outlook.begin(0);
  outlook.learn(1, 0, 0.95, false);
  EXPECT_LT(outlook.goes_on(2, 0), 0.05);
  outlook.begin(0);
  outlook.learn(1, 0, 0.3, false);
  EXPECT_GT(outlook.goes_on(2, 0), 0.95);
}

TEST(ResidencySession, ReplayedScoresDecide) {
  const auto cases = testing::all_cases();
  const testing::Case& which = cases[0];
  Loaded loaded(which, "", 1);
  const testing::Inputs inputs = testing::random_inputs(which.spec, 3, 5);
  const std::size_t exits = static_cast<std::size_t>(which.spec.layers - 1);
  std::vector<float> scores(3 * exits, 0.1f);
  scores[0] = 0.9f;              // input 0 stops at exit 1
  scores[2 * exits - 1] = 0.7f;  // input 1 at the last exit that decides
  RunOptions options;
  options.lambda = 0.7f;
  options.replay = scores;
  const auto out = loaded.run(inputs.batch(), options);
  EXPECT_EQ(out[0].depth, 1);
  EXPECT_EQ(out[1].depth, which.spec.layers - 1);
  EXPECT_EQ(out[2].depth, which.spec.layers);
  options.replay = std::span(scores).first(3 * exits - 1);
  std::vector<Prediction> some(3);
  EXPECT_FALSE(loaded.session->run(inputs.batch(), options, some));
}

TEST(ResidencySession, AnswersAreTheSameUnderAnyBudget) {
  for (const testing::Case& which : testing::all_cases()) {
    SCOPED_TRACE(which.name);
    Loaded loaded(which, "", 2);
    const testing::Inputs inputs = testing::random_inputs(which.spec, 12, 5);
    const auto masks = testing::random_masks(which.spec, 12);
    std::size_t largest = 0;
    for (const auto& bytes : loaded.plan->parts().layer_bytes) largest = std::max(largest, bytes.size());
    for (const Mode mode : {Mode::adaptive, Mode::full_depth, Mode::masks, Mode::trace}) {
      RunOptions options;
      options.mode = mode;
      options.masks = masks;
      const auto expected = loaded.run(inputs.batch(), options);
      const auto logits = testing::copy(loaded.session->logits());
      for (const std::size_t budget : {largest, 2 * largest, 100 * largest})
        for (const bool forget : {false, true}) {
          auto runtime = testing::must(Runtime::create({"", 2, budget, forget}));
          auto session = testing::must(Session::create(loaded.plan, *runtime, {12, 0}));
          for (int again = 0; again < 2; ++again) {
            std::vector<Prediction> out(12);
            const long before = testing::allocations;
            const Status ran = session.run(inputs.batch(), options, out);
            EXPECT_EQ(testing::allocations - before, 0);
            testing::must(ran);
            EXPECT_EQ(testing::copy(session.logits()), logits);
            for (std::size_t i = 0; i < 12; ++i) EXPECT_EQ(out[i].trajectory, expected[i].trajectory);
          }
          const ResidencyReport report = session.residency();
          EXPECT_GT(report.hits + report.misses + report.read_ahead, 0u);
          EXPECT_LE(report.most_held_bytes, budget);
        }
    }
    EXPECT_EQ(loaded.session->residency().misses, 0u);
  }
}

TEST(ResidencySession, RefusesWhatCannotWork) {
  Loaded loaded(testing::all_cases()[0], "", 1);
  auto runtime = testing::must(Runtime::create({"", 1, 100}));
  const auto small = Session::create(loaded.plan, *runtime, {1, 0});
  ASSERT_FALSE(small.has_value());
  EXPECT_EQ(small.error().code, Code::usage);
  EXPECT_NE(small.error().message.find("0.0001 MB, and one layer takes "), std::string::npos) << small.error().message;
}

}  // namespace
}  // namespace fathom::engine
