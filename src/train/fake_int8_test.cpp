// Training as int8 computes. That the numbers are those of the kernels: tests/parity/int8_parity_test.cpp.
#include "train/fake_int8.h"

#include <gtest/gtest.h>

#include "train/distil.h"
#include "train/test_models.h"
#include "train/trunk.h"

namespace fathom::train {
namespace {

using torch::Tensor;

TEST(FakeInt8, AFewNumbersByHand) {
  const Tensor rows =
      fake_int8_rows(torch::tensor({-1.0f, 0.0f, 0.301f, 1.55f, 2.0f, 4.0f, 5.0f, 0.0f}).view({2, 4}), 255);
  const float scale = 2.55f / 255;  // -1 to 1.55: 0 is level 100
  EXPECT_NEAR(rows[0][2].item<float>(), 30 * scale, 1e-6);
  EXPECT_NEAR(rows[0][0].item<float>(), -1, 1e-6);
  EXPECT_NEAR(rows[0][3].item<float>(), 1.55, 1e-6);
  EXPECT_EQ(rows[0][1].item<float>(), 0) << "0 is exact";
  EXPECT_NEAR(rows[1][1].item<float>(), 204 * 5.0 / 255, 1e-6) << "the range begins at 0";
  const Tensor weights = fake_int8_weights(torch::tensor({-12.7f, 0.26f, 1.27f, 0.0f, 0.0f, 0.0f}).view({2, 3}));
  EXPECT_NEAR(weights[0][0].item<float>(), -12.7, 1e-6);
  EXPECT_NEAR(weights[0][1].item<float>(), 0.3, 1e-6);
  EXPECT_EQ(weights[1].abs().max().item<float>(), 0);
}

TEST(FakeInt8, GradientsPassAsIfNothingWereRounded) {
  torch::manual_seed(1);
  for (const int levels : {127, 255}) {
    auto x = torch::randn({3, 9}).set_requires_grad(true), w = torch::randn({5, 9}).set_requires_grad(true);
    const Tensor g = torch::randn({3, 5}), qx = fake_int8_rows(x, levels), qw = fake_int8_weights(w);
    EXPECT_FALSE(torch::equal(qx, x));
    qx.mm(qw.t()).backward(g);
    EXPECT_TRUE(torch::allclose(x.grad(), g.mm(qw.detach()), 1e-5, 1e-6));
    EXPECT_TRUE(torch::allclose(w.grad(), g.t().mm(qx.detach()), 1e-5, 1e-6));
  }
}

// The fused layer and the plain one, in factors or not: the same rounding, the same gradients.
TEST(FakeInt8, FusedLayersEqualPlainOnes) {
  for (const NormOrder norm : {NormOrder::pre, NormOrder::post})
    for (const Attention attention : {Attention::softmax, Attention::linear}) {
      torch::manual_seed(3);
      ModelSpec spec = testing::small_spec(norm, 2, 4, 48);
      spec.attention = attention;
      spec.word_width = 12;
      Backbone backbone(spec);
      FlatParameters flat(backbone.parameters());
      const auto texts = testing::random_texts(spec, 9);
      const Tensor keep = (torch::arange(texts.ids.size(1)).unsqueeze(0) < texts.lengths.unsqueeze(1))
                              .to(torch::kFloat)
                              .unsqueeze(2),
                   direction = torch::randn({9, texts.ids.size(1), 32}) * keep;
      const auto run = [&](bool fused, int levels) {
        backbone.set_fused(fused);
        backbone.set_int8(levels);
        flat.gradients().zero_();
        const Tensor h = backbone.deepest(texts) * keep;
        (h * direction).sum().backward();
        return std::pair(h.detach(), flat.gradients().clone());
      };
      const auto exact = run(true, 0), fused = run(true, 255), plain = run(false, 255);
      const auto far = [](const Tensor& a, const Tensor& b) { return ((a - b).norm() / b.norm()).item<double>(); };
      EXPECT_LT(far(fused.first, plain.first), 2e-3);  // a number near the middle of two levels may fall to either
      EXPECT_LT(far(fused.second, plain.second), 2e-2);
      EXPECT_GT(far(fused.first, exact.first), 2 * far(fused.first, plain.first)) << "rounding does something";
      EXPECT_LT(far(fused.first, exact.first), 0.1);
    }
}

TEST(FakeInt8, FactorsAreRoundedOneByOne) {
  torch::manual_seed(5);
  ModelSpec spec = testing::small_spec(NormOrder::post, 2, 4, 48);
  spec.ranks = {10, 8, 9, 11, false};
  Backbone backbone(spec);
  const auto texts = testing::random_texts(spec, 5);
  torch::NoGradGuard no_grad;
  const Tensor exact = backbone.deepest(texts);
  backbone.set_int8(255);
  const Tensor rounded = backbone.deepest(texts);
  EXPECT_FALSE(torch::equal(exact, rounded));
  EXPECT_LT(((rounded - exact).norm() / exact.norm()).item<double>(), 0.1);
}

// One large weight in every row leaves the others few levels. Training that sees it makes up for it; training that does
// not cannot.
TEST(FakeInt8, TrainingWinsBackWhatRoundingLoses) {
  double loss[3];  // before, trained without rounding and with it
  for (const int how : {0, 1, 2}) {
    torch::manual_seed(6);
    const ModelSpec spec = testing::small_spec(NormOrder::post, 2, 4, 48);
    const auto teacher = std::make_shared<WholeModel>(spec, true);
    for (auto& matrix : teacher->layer_matrices()) matrix.select(1, 0).fill_(6.0f);
    auto student = std::make_unique<WholeModel>(spec, true);
    student->copy_from(*teacher);
    DistilLearner learner(std::move(student), teacher);
    learner.student().backbone().set_int8(how == 2 ? 255 : 0);
    const auto texts = testing::random_texts(spec, 128);
    Schedule schedule;
    schedule.batch = 32;
    schedule.steps = 80;
    schedule.warmup = 4;
    schedule.rate = 1e-3;
    Metrics metrics;
    if (how > 0) {
      ASSERT_TRUE(train_trunk(learner, {texts, texts.slice(0, 32), schedule, 1, 1, 200, false, false}, {}, metrics));
    }
    learner.student().backbone().set_int8(255);
    loss[how] = learner.loss(texts, torch::arange(128), {0, 1, 0, 128, 1}).item<double>();
  }
  EXPECT_LT(loss[2], 0.7 * loss[0]);
  EXPECT_LT(loss[2], 0.7 * loss[1]);
}

}  // namespace
}  // namespace fathom::train
