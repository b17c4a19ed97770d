#include <gtest/gtest.h>

#include <unistd.h>

#include <fstream>

#include "base/file.h"
#include "base/random.h"
#include "train/export.h"
#include "train/heads.h"
#include "train/scratch_learner.h"
#include "train/trunk.h"

namespace fathom::train {
namespace {

class Training : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("fathom-training-" + std::to_string(::getpid()));
    fs::create_directories(folder_);
    at::set_num_threads(1);
    spec_.layers = 3;
    spec_.hidden = 16;
    spec_.heads = 2;
    spec_.ffn = 24;
    spec_.norm = NormOrder::pre;
    spec_.pooling = Pooling::cls;
    spec_.vocab = 24;
    spec_.max_tokens = 7;
    spec_.token_types = 0;
    spec_.layer_norm_eps = 1e-6f;
    spec_.label_names = {"a", "b"};
    size_decision(spec_);
    train_ = texts(200, 1);
    tune_ = texts(60, 2);
    schedule_.steps = 30;
    schedule_.batch = 16;
    schedule_.warmup = 5;
    schedule_.dropout = 0.1;
  }
  void TearDown() override {
    stop_requested = 0;
    fs::remove_all(folder_);
  }

  // Label: whether the second word is in the upper half of the vocabulary.
  Encoded texts(std::int64_t n, std::uint64_t seed) const {
    Random random(seed, "texts");
    Encoded out;
    out.ids = torch::zeros({n, spec_.max_tokens}, torch::kLong);
    out.lengths = torch::empty({n}, torch::kLong);
    out.labels = torch::empty({n}, torch::kLong);
    for (std::int64_t i = 0; i < n; ++i) {
      const auto length = static_cast<std::int64_t>(3 + random.below(5));
      out.lengths[i] = length;
      out.ids[i][0] = 2;
      for (std::int64_t t = 1; t < length; ++t) out.ids[i][t] = static_cast<std::int64_t>(5 + random.below(19));
      out.labels[i] = out.ids[i][1].item<std::int64_t>() >= 14 ? 1 : 0;
    }
    return out;
  }

  TrunkRun run(std::int64_t checkpoint_every, std::uint64_t seed = 1) const {
    return {train_, tune_, schedule_, seed, 2, checkpoint_every, false};
  }
  Checkpoints checkpoints(int seed = 1) const { return {folder_, {{"options", {{"seed", seed}, {"lr", 0.002}}}}}; }

  Result<std::string> trained(const Checkpoints& kept, std::int64_t checkpoint_every) {
    torch::manual_seed(5);
    Backbone backbone(spec_);
    Heads heads(spec_);
    Metrics metrics;
    ScratchLearner learner(backbone, heads);
    FATHOM_TRY(const auto facts, train_trunk(learner, run(checkpoint_every), kept, metrics));
    (void)facts;
    return backbone_bytes(backbone);
  }

  fs::path folder_;
  ModelSpec spec_;
  Encoded train_, tune_;
  Schedule schedule_;
};

TEST_F(Training, LearnsAnEasyRule) {
  schedule_.steps = 150;
  schedule_.dropout = 0;
  torch::manual_seed(5);
  Backbone backbone(spec_);
  Heads heads(spec_);
  Metrics metrics;
  ScratchLearner learner(backbone, heads);
  const auto facts = train_trunk(learner, run(1000), Checkpoints(), metrics);
  ASSERT_TRUE(facts) << facts.error().message;
  EXPECT_GT(facts->tune_accuracy, 0.9);
  HeadsRun heads_run{train_, tune_, {}, 1, folder_, false};
  heads_run.schedule.epochs = 30;
  heads_run.schedule.batch = 32;
  ASSERT_TRUE(train_heads(backbone, heads, heads_run, Checkpoints(), metrics));
  const auto exits = exit_accuracies(all_logits(backbone, heads, tune_, 16), tune_.labels);
  ASSERT_EQ(exits.size(), 3u);
  EXPECT_GT(exits[1], 0.85);
  EXPECT_FALSE(fs::exists(folder_ / "pooled.bin"));
}

TEST_F(Training, ResumedRunEndsInTheSameBits) {
  const auto whole = trained(Checkpoints(), 10);
  ASSERT_TRUE(whole) << whole.error().message;
  stop_requested = 1;  // stops after the first step, keeping its state
  const auto stopped = trained(checkpoints(), 10);
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, Code::cancelled);
  stop_requested = 0;
  const auto resumed = trained(checkpoints(), 10);
  ASSERT_TRUE(resumed) << resumed.error().message;
  EXPECT_EQ(*whole, *resumed);
}

TEST_F(Training, DamagedNewestCheckpointFallsBackToTheOneBefore) {
  const auto whole = trained(checkpoints(), 10);
  ASSERT_TRUE(whole);
  ASSERT_TRUE(fs::exists(folder_ / "trunk.previous.ckpt"));
  fs::resize_file(folder_ / "trunk.ckpt", fs::file_size(folder_ / "trunk.ckpt") - 100);
  const auto state = checkpoints().load("trunk");
  ASSERT_TRUE(state);
  ASSERT_TRUE(state->has_value());
  EXPECT_EQ((*state)->facts["step"], 20);
  const auto again = trained(checkpoints(), 10);
  ASSERT_TRUE(again);
  EXPECT_EQ(*whole, *again);
}

TEST_F(Training, CheckpointOfAnotherRunIsRefusedByName) {
  ASSERT_TRUE(trained(checkpoints(1), 10));
  const auto other = trained(checkpoints(2), 10);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, Code::usage);
  EXPECT_NE(other.error().message.find("seed is 2, was 1"), std::string::npos) << other.error().message;
}

TEST_F(Training, ExportAndLoadAreBitExact) {
  torch::manual_seed(9);
  Backbone backbone(spec_), other(spec_);
  Heads heads(spec_), other_heads(spec_);
  const auto bytes = backbone_bytes(backbone);
  ASSERT_TRUE(bytes) << bytes.error().message;
  ASSERT_TRUE(write_file_atomic(folder_ / "model.safetensors", *bytes));
  const auto file = SafeTensors::open(folder_ / "model.safetensors");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_NE(*backbone_bytes(other), *bytes);
  ASSERT_TRUE(load_backbone(other, **file));
  EXPECT_EQ(*backbone_bytes(other), *bytes);
  const auto wrong = load_heads(other_heads, **file);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, Code::corrupt_bundle);
}

TEST_F(Training, BatchOrderIsAPureFunctionOfTheStep) {
  BatchOrder a(train_, 16, 3), b(train_, 16, 3), other(train_, 16, 4);
  for (std::int64_t step = 0; step < 20; ++step) a.rows(step);
  EXPECT_TRUE(a.rows(40).equal(b.rows(40)));
  EXPECT_FALSE(a.rows(41).equal(other.rows(41)));
  auto seen = torch::zeros({train_.size()}, torch::kLong);
  for (std::int64_t step = 0; step < 12; ++step) seen.index_add_(0, b.rows(step), torch::ones({16}, torch::kLong));
  EXPECT_EQ(seen.max().item<std::int64_t>(), 1);
}

}  // namespace
}  // namespace fathom::train
