#include "train/paper_recipe.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "model/names.h"

namespace fathom::train {
namespace {

using torch::Tensor;

// One thread: tensors this small only wait for each other on two.
[[maybe_unused]] const bool kOneThread = (at::set_num_threads(1), true);

ModelSpec model() {
  ModelSpec spec;
  spec.layers = 4;
  spec.hidden = 16;
  spec.heads = 2;
  spec.ffn = 16;
  spec.norm = NormOrder::pre;
  spec.pooling = Pooling::cls;
  spec.max_tokens = 6;
  spec.vocab = 12;
  spec.label_names = {"a", "b"};
  size_decision(spec);
  spec.exit_head_hidden = 0;
  return spec;
}

// The label is whether the second word is high.
Encoded rows(std::int64_t n, std::int64_t seed) {
  torch::manual_seed(static_cast<std::uint64_t>(seed));
  Encoded out;
  out.ids = torch::randint(1, 12, {n, 6}, torch::kLong);
  out.lengths = torch::full({n}, 6, torch::kLong);
  out.labels = (out.ids.select(1, 1) > 6).to(torch::kLong);
  return out;
}

struct Trained {
  Tensor weights;
  std::string predictor, policy;
  std::map<std::string, Tensor> tensors;
  Json facts;
};

Result<Trained> train(std::int64_t steps, const Checkpoints& checkpoints) {
  const auto spec = model();
  torch::manual_seed(5);
  Backbone backbone(spec);
  Heads heads(spec);
  const auto data = rows(512, 1), tune = rows(128, 2);
  PaperRun run{data, tune, steps, 32, 1e-3, 1, false};
  Metrics metrics;
  FATHOM_TRY(auto decision, train_paper(backbone, heads, run, checkpoints, metrics));
  Trained out;
  std::vector<Tensor> all;
  for (const auto& [name, tensor] : backbone.named_weights()) all.push_back(tensor.reshape({-1}));
  out.weights = torch::cat(all).clone();
  out.predictor = decision.predictor_text;
  out.policy = policy::policy_to_json(decision.policy).dump();
  out.tensors = decision.tensors;
  out.facts = decision.facts;
  return out;
}

TEST(PaperRecipe, SkippedLayersAreTheResidualAlone) {
  const auto spec = model();
  torch::manual_seed(3);
  Backbone backbone(spec);
  const Heads heads(spec);
  backbone.eval();
  torch::NoGradGuard no_grad;
  const auto batch = rows(3, 4);
  const auto h0 = backbone.embed(batch), lengths = backbone.attention_mask(batch);
  auto runs = torch::zeros({3, 4}, torch::kBool);
  runs[0].fill_(true);
  runs[1][2] = true;
  runs[2][0] = true;
  runs[2][3] = true;
  const auto got = gated_logits(backbone, heads, batch, h0, runs);
  for (int i = 0; i < 3; ++i) {
    auto h = h0.narrow(0, i, 1);
    for (int l = 0; l < 4; ++l) {
      if (runs[i][l].item<bool>()) h = backbone.layer(l, h, lengths.narrow(0, i, 1));
    }
    const auto expected = heads.logits(4, h.select(1, 0));
    EXPECT_LT((got.narrow(0, i, 1) - expected).abs().max().item<double>(), 1e-5) << i;
  }
}

TEST(PaperRecipe, OneLayerRunsWhereTheControllerSkipsAll) {
  const auto runs = runs_of(torch::tensor({1.f, 1.f, 1.f, -1.f, 1.f, 0.f}).view({2, 3}));
  const auto expected = torch::tensor({1, 0, 0, 1, 0, 0}).view({2, 3}).to(torch::kBool);
  EXPECT_TRUE(torch::equal(runs, expected));
}

TEST(PaperRecipe, ResumesToTheSameBytesAndShipsGates) {
  const auto whole = train(90, Checkpoints());
  ASSERT_TRUE(whole) << whole.error().message;
  const auto folder = std::filesystem::temp_directory_path() / ("fathom_paper_" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  const Checkpoints checkpoints(folder, Json{{"run", 1}});
  ASSERT_TRUE(train(90, checkpoints));
  // As if killed during the last epoch: the newest state is gone, the one before is read.
  std::filesystem::remove(folder / "paper.ckpt");
  const auto resumed = train(90, checkpoints);
  std::filesystem::remove_all(folder);
  ASSERT_TRUE(resumed) << resumed.error().message;
  EXPECT_TRUE(torch::equal(whole->weights, resumed->weights));
  EXPECT_EQ(whole->predictor, resumed->predictor);
  for (const auto& [name, tensor] : whole->tensors)
    EXPECT_TRUE(torch::equal(tensor, resumed->tensors.at(name))) << name;
  const auto read = parse_json(whole->policy, "policy");
  ASSERT_TRUE(read);
  const auto policy = policy::policy_from_json(*read, model(), whole->predictor, "test");
  ASSERT_TRUE(policy) << policy.error().message;
  EXPECT_EQ(policy->kind, policy::PolicyKind::gates);
  EXPECT_TRUE(policy->policy_reads_level);
  EXPECT_GE(whole->facts["layers_run"].get<double>(), 1.0);
}

// What the bundle says it was trained by is what it was trained by.
TEST(PaperRecipe, ObeysTheBatchAndRecordsItsOwnSchedule) {
  Prepared prepared;
  prepared.schedule.steps = 600;
  prepared.schedule.batch = 64;
  FitOptions options;
  EXPECT_EQ(schedule_of(paper_run(prepared, options))["steps"], 1200);
  EXPECT_EQ(schedule_of(paper_run(prepared, options))["batch"], 32);
  EXPECT_EQ(schedule_of(paper_run(prepared, options))["lr"], 1e-4);
  EXPECT_EQ(schedule_of(paper_run(prepared, options))["beta1"], 0.0);
  options.batch = 16;
  options.rate = 3e-4;
  prepared.schedule.batch = 16;  // as prepare() takes it over
  prepared.schedule.steps = 2400;
  const Json schedule = schedule_of(paper_run(prepared, options));
  EXPECT_EQ(schedule["batch"], 16);
  EXPECT_EQ(schedule["steps"], 2400);
  EXPECT_EQ(schedule["lr"], 3e-4);
}

}  // namespace
}  // namespace fathom::train
