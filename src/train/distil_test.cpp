// Compressed models in LibTorch: maps in factors, fewer heads, narrow word rows; and learning to answer as another
// model does.
#include "train/distil.h"

#include <gtest/gtest.h>

#include "model/names.h"
#include "train/scratch_learner.h"
#include "train/test_models.h"
#include "train/trunk.h"

namespace fathom::train {
namespace {

using torch::Tensor;

using testing::random_texts;

ModelSpec small_spec(NormOrder norm) {
  ModelSpec spec = testing::small_spec(norm, 3, 4, 48);
  spec.token_types = 2;
  return spec;
}

ModelSpec compressed(ModelSpec spec, bool shared) {
  spec.head_size = spec.head_dim();
  spec.heads = 3;
  spec.ffn = 40;
  spec.word_width = 12;
  spec.ranks = {10, 8, 9, 11, shared};
  return spec;
}

// The compressed model written out: whole word rows, and every map as the product of its factors.
void write_out(const WholeModel& from, WholeModel& to) {
  torch::NoGradGuard no_grad;
  auto values = from.own_weights();
  const ModelSpec& spec = from.spec();
  values["embeddings.word_embeddings.weight"] =
      values["embeddings.word_embeddings.weight"].mm(values["embeddings.word_projection.weight"].t());
  for (int layer = 0; layer < spec.layers; ++layer)
    for (const LayerMap& map : layer_maps(spec))
      for (const std::string& part : map.parts) {
        const std::string name = "encoder.layer." + std::to_string(layer) + "." + part + ".weight";
        values[name] = values[name].mm(values[factor_name(spec, layer, map)]);
      }
  for (auto& [name, tensor] : to.own_weights()) tensor.copy_(values.at(name));
  const auto exits = from.exit_weights();
  for (auto& [name, tensor] : to.exit_weights()) tensor.copy_(exits.at(name));
}

TEST(Distil, AModelInFactorsIsTheModelOfTheirProducts) {
  for (const NormOrder norm : {NormOrder::pre, NormOrder::post})
    for (const bool shared : {false, true}) {
      torch::manual_seed(3);
      const ModelSpec spec = compressed(small_spec(norm), shared);
      ModelSpec plain = spec;
      plain.word_width = 0;
      plain.ranks = {};
      WholeModel folded(spec, true), whole(plain, true);
      write_out(folded, whole);
      const auto texts = random_texts(spec, 7);
      torch::NoGradGuard no_grad;
      folded.backbone().eval();
      whole.backbone().eval();
      const auto a = folded.run(texts), b = whole.run(texts);
      ASSERT_EQ(a.logits.size(), 3u);
      for (std::size_t l = 0; l < 3; ++l) {
        EXPECT_LT((a.states[l] - b.states[l]).abs().max().item<double>(), 2e-5) << l;
        EXPECT_LT((a.logits[l] - b.logits[l]).abs().max().item<double>(), 2e-5) << l;
      }
      folded.backbone().set_fused(false);
      EXPECT_LT((folded.run(texts).logits[2] - b.logits[2]).abs().max().item<double>(), 2e-5);
    }
}

TEST(Distil, AModelThatIsItsTeacherHasNothingToLearn) {
  torch::manual_seed(4);
  const ModelSpec spec = small_spec(NormOrder::post);
  const auto teacher = std::make_shared<WholeModel>(spec, true);
  auto same = std::make_unique<WholeModel>(spec, true);
  same->copy_from(*teacher);
  DistilLearner learner(std::move(same), teacher);
  const auto texts = random_texts(spec, 6);
  const auto loss = learner.loss(texts, torch::arange(6), {0, 10, 0, 6, 1});
  EXPECT_NEAR(loss.item<double>(), 0, 1e-6);
}

// Half of a taught student's loss is the labels', half the teacher's answers to the very rows.
TEST(Distil, AStudentOfAnotherShapeIsTaughtByRows) {
  torch::manual_seed(9);
  ModelSpec spec = small_spec(NormOrder::pre);
  spec.layers = 2;
  spec.hidden = 16;
  Backbone backbone(spec);
  Heads heads(spec);
  const auto taught = torch::randn({12, 3});
  ScratchLearner learner(backbone, heads, taught), alone(backbone, heads);
  const auto texts = random_texts(spec, 4);
  const auto rows = torch::tensor(std::vector<std::int64_t>{7, 2, 11, 5}, torch::kLong);
  const Place place{0, 10, 0, 4, 1};
  const double loss = learner.loss(texts, rows, place).item<double>(),
               labels = alone.loss(texts, rows, place).item<double>();
  const double other = learner.replica()->loss(texts, rows, place).item<double>();
  backbone.eval();
  torch::NoGradGuard no_grad;
  const auto q = torch::softmax(last_logits(backbone, heads, texts) / 2, 1),
             p = torch::softmax(taught.index_select(0, rows) / 2, 1);
  EXPECT_NEAR(loss, 0.5 * labels + 0.5 * 4 * (p * (p / q).log()).sum().item<double>() / 4, 1e-5);
  EXPECT_NEAR(other, loss, 1e-6);
}

// The formula of distil.h said once more, row by row in double.
TEST(Distil, TheLossIsTheFormula) {
  torch::manual_seed(8);
  const ModelSpec spec = small_spec(NormOrder::post);
  const auto teacher = std::make_shared<WholeModel>(spec, true);
  DistilLearner learner(std::make_unique<WholeModel>(compressed(spec, false), true), teacher);
  const auto texts = random_texts(spec, 5);
  const double loss = learner.loss(texts, torch::arange(5), {0, 10, 0, 20, 1}).item<double>();
  torch::NoGradGuard no_grad;
  WholeModel student(compressed(spec, false), true);
  student.copy_from(learner.student());
  const auto s = student.run(texts), t = teacher->run(texts);
  double expected = 0;
  for (std::int64_t row = 0; row < 5; ++row) {
    for (std::size_t exit = 0; exit < 3; ++exit) {
      const auto p = torch::softmax(t.logits[exit][row].to(torch::kDouble) / 2, 0),
                 q = torch::softmax(s.logits[exit][row].to(torch::kDouble) / 2, 0);
      expected += 4 * (p * (p / q).log()).sum().item<double>() * (exit < 2 ? 0.5 : 1.0);
    }
    const auto length = texts.lengths[row].item<std::int64_t>();
    for (std::size_t layer = 0; layer < 3; ++layer) {
      const auto h = s.states[layer][row].narrow(0, 0, length).to(torch::kDouble),
                 wanted = t.states[layer][row].narrow(0, 0, length).to(torch::kDouble);
      expected += (h - wanted).square().sum().item<double>() / wanted.square().sum().item<double>() / 3;
    }
  }
  EXPECT_NEAR(loss, expected / 20, 1e-5);
}

TEST(Distil, EveryPartOfACompressedModelLearns) {
  for (const bool shared : {false, true}) {
    torch::manual_seed(5);
    const ModelSpec spec = small_spec(NormOrder::post);
    const auto teacher = std::make_shared<WholeModel>(spec, true);
    DistilLearner learner(std::make_unique<WholeModel>(compressed(spec, shared), true), teacher);
    const auto texts = random_texts(spec, 32);
    std::map<std::string, Tensor> before;
    const auto all = [&] {
      auto weights = learner.student().own_weights();
      weights.merge(learner.student().exit_weights());
      return weights;
    };
    for (const auto& [name, tensor] : all()) before[name] = tensor.clone();
    double first = 0, last = 0;
    for (int step = 0; step < 60; ++step) {
      learner.parameters().gradients().zero_();
      const auto loss = learner.loss(texts, torch::arange(32), {step, 60, 0, 32, 1});
      loss.backward();
      torch::NoGradGuard no_grad;
      learner.parameters().values().sub_(learner.parameters().gradients(), 0.05);
      (step == 0 ? first : last) = loss.item<double>();
    }
    EXPECT_LT(last, 0.8 * first) << "shared " << shared;
    for (const auto& [name, tensor] : all()) {
      if (name.find(".key.bias") != std::string::npos) continue;  // softmax does not see it
      const bool stays = name.starts_with("embeddings.") && name.find("word_") == std::string::npos;
      EXPECT_EQ(torch::equal(tensor, before.at(name)), stays) << name;
    }
  }
}

TEST(Distil, ZerosStayAndTheRestLearns) {
  torch::manual_seed(12);
  const ModelSpec spec = small_spec(NormOrder::post);
  auto student = std::make_unique<WholeModel>(spec, true);
  std::map<std::string, Tensor> zeros, before;
  {
    torch::NoGradGuard no_grad;
    for (auto& [name, tensor] : student->own_weights()) {
      if (name.starts_with("encoder.layer.1.") && (name.ends_with("dense.weight") || name.ends_with("key.weight"))) {
        zeros[name] = torch::rand(tensor.sizes()) < 0.5;
        tensor.masked_fill_(zeros[name], 0);
      }
      before[name] = tensor.clone();
    }
  }
  ASSERT_EQ(zeros.size(), 4u);
  DistilLearner learner(std::move(student), std::make_shared<WholeModel>(spec, true));
  const auto texts = random_texts(spec, 64);
  Schedule schedule;
  schedule.batch = 32;
  schedule.steps = 10;
  schedule.warmup = 1;
  schedule.decay = 0.01;
  Metrics metrics;
  ASSERT_TRUE(train_trunk(learner, {texts, texts.slice(0, 32), schedule, 1, 1, 200, false, false}, {}, metrics));
  for (const auto& [name, tensor] : learner.student().own_weights()) {
    if (name.starts_with("embeddings.") || name.ends_with("key.bias")) continue;
    const auto found = zeros.find(name);
    const Tensor free = found == zeros.end() ? torch::ones_like(tensor, torch::kBool) : found->second.logical_not();
    if (found != zeros.end()) {
      EXPECT_TRUE(torch::equal(tensor == 0, found->second)) << name;
    }
    EXPECT_GT((tensor != before.at(name)).masked_select(free).to(torch::kDouble).mean().item<double>(), 0.9) << name;
  }
}

// Batches large enough to be cut in two, each half with the one teacher in a thread of its own.
TEST(Distil, ThreadsChangeNothing) {
  const ModelSpec spec = small_spec(NormOrder::post);
  Tensor values[2];
  for (const int threads : {1, 2}) {
    torch::manual_seed(10);
    const auto texts = random_texts(spec, 800);
    DistilLearner learner(std::make_unique<WholeModel>(compressed(spec, false), true),
                          std::make_shared<WholeModel>(spec, true));
    Schedule schedule;
    schedule.batch = 400;
    schedule.steps = 4;
    schedule.warmup = 1;
    ASSERT_GT(schedule.batch * learner.row_floats(), 160000) << "one shard alone";
    Metrics metrics;
    const auto trained =
        train_trunk(learner, {texts, texts.slice(0, 32), schedule, 1, threads, 200, false, false}, {}, metrics);
    ASSERT_TRUE(trained) << trained.error().message;
    values[threads - 1] = learner.parameters().values().clone();
  }
  EXPECT_TRUE(torch::equal(values[0], values[1]));
}

TEST(Distil, AReplicaSharesValuesAndHasGradientsOfItsOwn) {
  torch::manual_seed(6);
  const ModelSpec spec = small_spec(NormOrder::post);
  DistilLearner learner(std::make_unique<WholeModel>(compressed(spec, false), true),
                        std::make_shared<WholeModel>(spec, true));
  const auto other = learner.replica();
  const auto texts = random_texts(spec, 9);
  for (Learner* each : {static_cast<Learner*>(&learner), other.get()})
    each->loss(texts, torch::arange(9), {3, 10, 0, 9, 1}).backward();
  EXPECT_TRUE(torch::equal(learner.parameters().gradients(), other->parameters().gradients()));
  EXPECT_EQ(learner.parameters().values().data_ptr<float>(), other->parameters().values().data_ptr<float>());
  EXPECT_NE(learner.parameters().gradients().data_ptr<float>(), other->parameters().gradients().data_ptr<float>());
}

}  // namespace
}  // namespace fathom::train
