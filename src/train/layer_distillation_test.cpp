#include "train/layer_distillation.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include "base/file.h"
#include "train/export.h"
#include "train/scratch_learner.h"
#include "train/test_models.h"
#include "train/trunk.h"

namespace fathom::train {
namespace {

using testing::random_texts;
using torch::Tensor;

ModelSpec teacher_spec(int layers = 4) {
  ModelSpec spec = testing::small_spec(NormOrder::post, layers, 4, 48);
  spec.token_types = 2;
  return spec;
}

// Narrower, shallower, of another norm and head count; reads the teacher's words.
ModelSpec student_spec(int layers = 2) {
  ModelSpec spec = testing::small_spec(NormOrder::pre, layers, 2, 24);
  spec.hidden = 16;
  return spec;
}

struct Pair {
  explicit Pair(const ModelSpec& spec, std::uint64_t seed = 3) {
    torch::manual_seed(seed);
    teacher = std::make_shared<WholeModel>(teacher_spec(), true);
    student = std::make_unique<Backbone>(spec);
    heads = std::make_unique<Heads>(spec);
    layers = std::make_shared<LayerDistillation>(spec, teacher);
  }
  double loss(const Encoded& part) const {
    torch::NoGradGuard no_grad;
    return layers->loss(*student, all_states(*student, part), part).item<double>();
  }
  std::shared_ptr<WholeModel> teacher;
  std::unique_ptr<Backbone> student;
  std::unique_ptr<Heads> heads;
  std::shared_ptr<LayerDistillation> layers;
};

TEST(LayerDistillation, LayersAreMappedUniformly) {
  const auto levels = [](int student, int teacher) {
    const LayerDistillation layers(student_spec(student), std::make_shared<WholeModel>(teacher_spec(teacher), false));
    std::vector<int> out;
    for (int level = 0; level <= student; ++level) out.push_back(layers.teacher_level(level));
    return out;
  };
  EXPECT_EQ(levels(3, 6), (std::vector<int>{0, 2, 4, 6}));
  EXPECT_EQ(levels(4, 6), (std::vector<int>{0, 2, 3, 5, 6}));
  EXPECT_EQ(levels(2, 5), (std::vector<int>{0, 3, 5}));
  EXPECT_EQ(levels(5, 2), (std::vector<int>{0, 0, 1, 1, 2, 2}));
}

TEST(LayerDistillation, AStudentThatIsItsTeacherHasNothingToLearn) {
  for (const NormOrder norm : {NormOrder::pre, NormOrder::post}) {
    torch::manual_seed(4);
    ModelSpec spec = teacher_spec();
    spec.norm = norm;
    const auto teacher = std::make_shared<WholeModel>(spec, true);
    WholeModel same(spec, true), other(spec, true);
    same.copy_from(*teacher);
    const LayerDistillation layers(spec, teacher);
    EXPECT_TRUE(layers.parameters().empty()) << "equal widths need no projection";
    EXPECT_EQ(layers.relation_heads(), 4);
    const auto texts = random_texts(spec, 6);
    torch::NoGradGuard no_grad;
    EXPECT_NEAR(layers.loss(same.backbone(), all_states(same.backbone(), texts), texts).item<double>(), 0, 1e-6);
    EXPECT_GT(layers.loss(other.backbone(), all_states(other.backbone(), texts), texts).item<double>(), 0.1);
  }
}

// softmax of one relation head of one row, in double: x, y [T, width].
Tensor relation(const Tensor& x, const Tensor& y, std::int64_t head, std::int64_t heads) {
  const auto width = x.size(1) / heads;
  return torch::softmax(
      x.narrow(1, head * width, width).mm(y.narrow(1, head * width, width).t()) / std::sqrt(static_cast<double>(width)),
      1);
}

// The formula of layer_distillation.h said once more, row by row in double; queries, keys and values from the weights
// as they are named.
TEST(LayerDistillation, TheLossIsTheFormula) {
  const Pair pair(student_spec());
  const auto texts = random_texts(student_spec(), 5);
  torch::NoGradGuard no_grad;
  const auto mine = all_states(*pair.student, texts), taught = all_states(pair.teacher->backbone(), texts);
  const auto own = pair.student->named_weights(), master = pair.teacher->own_weights();
  const auto part = [](const std::map<std::string, Tensor>& weights, int layer, const char* name, const Tensor& x) {
    const std::string n = "encoder.layer." + std::to_string(layer) + ".attention.self." + name;
    return torch::linear(x, weights.at(n + ".weight").to(torch::kDouble), weights.at(n + ".bias").to(torch::kDouble));
  };
  const auto projections = pair.layers->parameters();
  double expected = 0;
  for (std::int64_t row = 0; row < 5; ++row) {
    const auto length = texts.lengths[row].item<std::int64_t>();
    const auto of_row = [&](const Tensor& states) { return states[row].narrow(0, 0, length).to(torch::kDouble); };
    for (std::size_t level = 0; level <= 2; ++level) {
      const auto h = torch::linear(of_row(mine[level]), projections[2 * level].to(torch::kDouble),
                                   projections[2 * level + 1].to(torch::kDouble));
      const auto t = of_row(taught[2 * level]);
      expected += (h - t).square().sum().item<double>() / t.square().sum().item<double>() / 3;
    }
    for (int layer = 0; layer < 2; ++layer) {
      const auto normed = torch::layer_norm(of_row(mine[static_cast<std::size_t>(layer)]), {16}, {}, {},
                                            1e-6);                                // pre norm, weights of 1 and 0
      const auto read = of_row(taught[static_cast<std::size_t>(2 * layer + 1)]);  // by the teacher's layer 2 layer + 2
      for (const auto& [x, y] : {std::pair{"query", "key"}, {"value", "value"}})
        for (std::int64_t head = 0; head < 2; ++head) {
          const auto q = relation(part(own, layer, x, normed), part(own, layer, y, normed), head, 2);
          const auto p = relation(part(master, 2 * layer + 1, x, read), part(master, 2 * layer + 1, y, read), head, 2);
          expected += (p * (p / q).log()).sum().item<double>() / (2 * 2.0 * static_cast<double>(length));
        }
    }
  }
  EXPECT_NEAR(pair.loss(texts), expected, 1e-5 * expected);
}

TEST(LayerDistillation, ARowsLossDoesNotDependOnItsNeighbours) {
  const Pair pair(student_spec());
  const auto texts = random_texts(student_spec(), 6);
  ASSERT_NE(texts.lengths.min().item<std::int64_t>(), texts.lengths.max().item<std::int64_t>());
  double alone = 0;
  for (std::int64_t row = 0; row < 6; ++row) alone += pair.loss(texts.slice(row, row + 1));
  EXPECT_NEAR(pair.loss(texts), alone, 1e-5 * alone);
}

// Along the gradient, separately of the model and of the projections, central differences see its length.
TEST(LayerDistillation, GradientsAreThoseOfFiniteDifferences) {
  for (const NormOrder norm : {NormOrder::pre, NormOrder::post}) {
    ModelSpec spec = student_spec();
    spec.norm = norm;
    const Pair pair(spec);
    const auto texts = random_texts(spec, 4);
    FlatParameters model(pair.student->parameters()), projections(pair.layers->parameters());
    pair.layers->loss(*pair.student, all_states(*pair.student, texts), texts).backward();
    for (const FlatParameters* flat : {&model, &projections}) {
      const double length = flat->gradients().norm().item<double>(), step = 1e-2;
      ASSERT_GT(length, 0.1);
      torch::NoGradGuard no_grad;
      const Tensor direction = flat->gradients() / length, at = flat->values().clone();
      flat->values().copy_(at + step * direction);
      const double up = pair.loss(texts);
      flat->values().copy_(at - step * direction);
      const double down = pair.loss(texts);
      flat->values().copy_(at);
      EXPECT_NEAR((up - down) / (2 * step), length, 0.01 * length);
    }
  }
}

TEST(LayerDistillation, OnlySoftmaxOverAllTokensHasRelations) {
  ModelSpec windowed = student_spec(), linear = student_spec();
  windowed.attention_window = 2;
  linear.attention = Attention::linear;
  EXPECT_EQ(Pair(student_spec()).layers->relation_heads(), 2);
  const auto texts = random_texts(windowed, 4);
  for (const ModelSpec& spec : {windowed, linear}) {
    const Pair pair(spec);
    EXPECT_EQ(pair.layers->relation_heads(), 0);
    const auto loss = pair.layers->loss(*pair.student, all_states(*pair.student, texts), texts);
    EXPECT_TRUE(std::isfinite(loss.item<double>()));
    EXPECT_GT(loss.item<double>(), 0.1);
  }
}

TEST(LayerDistillation, WordRowsStartAsTheTeachersPrincipalComponents) {
  torch::manual_seed(6);
  const WholeModel teacher(teacher_spec(), false);
  torch::NoGradGuard no_grad;
  const auto words = [](const Backbone& model) {
    return model.named_weights().at("embeddings.word_embeddings.weight");
  };
  Tensor given = words(const_cast<WholeModel&>(teacher).backbone());
  given.mul_(torch::linspace(0.1, 2, 32));  // some directions matter more than others
  const Tensor centred = given - given.mean(0, true);
  ModelSpec narrow = student_spec(), wide = teacher_spec(), projected = teacher_spec();
  wide.hidden = 40;
  projected.word_width = 16;
  for (const ModelSpec& spec : {narrow, wide, projected}) {
    const Backbone student(spec);
    const double before = words(student).square().mean().item<double>();
    start_from_words(student, teacher);
    const Tensor rows = words(student);
    const auto width = std::min<std::int64_t>(32, rows.size(1));
    // What a linear map of the new rows cannot say of the teacher's is what its smallest components hold.
    const auto variances = torch::linalg_eigvalsh(centred.t().mm(centred).to(torch::kDouble), "L");
    const Tensor x = rows.narrow(1, 0, width).to(torch::kDouble), y = centred.to(torch::kDouble);
    const Tensor solved = std::get<0>(torch::linalg_lstsq(x, y, c10::nullopt, "gelsd"));
    const double total = variances.sum().item<double>();
    EXPECT_NEAR((x.mm(solved) - y).square().sum().item<double>() / total,
                variances.narrow(0, 0, 32 - width).sum().item<double>() / total, 1e-5);
    EXPECT_NEAR(rows.narrow(1, 0, width).square().mean().item<double>(), before, 0.01 * before);
    EXPECT_EQ(rows.narrow(1, width, rows.size(1) - width).abs().sum().item<double>(), 0);
  }
}

// Batches that are cut in two: the values after some steps, bit for bit, for any number of threads and however often it
// was stopped.
class TaughtRun : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("fathom-layers-" + std::to_string(::getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    at::set_num_threads(1);
    schedule_.batch = 600;
    schedule_.steps = 6;
    schedule_.warmup = 1;
    schedule_.dropout = 0.1;
  }
  void TearDown() override {
    stop_requested = 0;
    fs::remove_all(folder_);
  }
  Tensor values(int threads, const Checkpoints& kept, bool stopped = false) {
    const Pair pair(student_spec(), 10);
    const auto texts = random_texts(student_spec(), 1200);
    ScratchLearner learner(*pair.student, *pair.heads, torch::randn({1200, 3}), pair.layers);
    EXPECT_GT(schedule_.batch * learner.row_floats(), 160000) << "one shard alone";
    Metrics metrics;
    stop_requested = stopped ? 1 : 0;
    const auto trained =
        train_trunk(learner, {texts, texts.slice(0, 32), schedule_, 1, threads, 2, false}, kept, metrics);
    EXPECT_EQ(trained.has_value(), !stopped);
    stop_requested = 0;
    return learner.parameters().values().clone();
  }
  fs::path folder_;
  Schedule schedule_;
};

TEST_F(TaughtRun, ThreadsChangeNothing) { EXPECT_TRUE(torch::equal(values(1, {}), values(2, {}))); }

TEST_F(TaughtRun, AResumedRunEndsInTheSameValues) {
  const Tensor whole = values(2, {});
  const Checkpoints kept(folder_, {{"seed", 1}});
  const Tensor first = values(2, kept, true), second = values(2, kept, true);
  EXPECT_FALSE(torch::equal(first, second));
  EXPECT_FALSE(torch::equal(second, whole));
  EXPECT_TRUE(torch::equal(values(1, kept), whole));
}

TEST_F(TaughtRun, ProjectionsLearnAndAreNotWritten) {
  const Pair pair(student_spec(), 10);
  const auto before = backbone_bytes(*pair.student);
  const auto texts = random_texts(student_spec(), 32);
  ScratchLearner learner(*pair.student, *pair.heads, {}, pair.layers);
  std::vector<Tensor> projections;
  for (const Tensor& p : pair.layers->parameters()) projections.push_back(p.detach().clone());
  ASSERT_EQ(projections.size(), 6u);
  schedule_.batch = 16;
  Metrics metrics;
  ASSERT_TRUE(train_trunk(learner, {texts, texts, schedule_, 1, 1, 200, false}, {}, metrics));
  for (std::size_t i = 0; i < projections.size(); ++i)
    EXPECT_FALSE(torch::equal(pair.layers->parameters()[i], projections[i])) << i;
  const auto after = backbone_bytes(*pair.student);
  ASSERT_TRUE(before && after);
  EXPECT_NE(*before, *after);
  EXPECT_EQ(before->size(), after->size());
}

}  // namespace
}  // namespace fathom::train
