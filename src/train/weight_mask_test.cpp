// Single weights that become zero while a model is trained.
#include "train/weight_mask.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "train/distil.h"
#include "train/test_models.h"
#include "train/trunk.h"

namespace fathom::train {
namespace {

using torch::Tensor;

// A matrix of a learner whose gradients the test makes up.
struct Alone {
  explicit Alone(const Tensor& values) : matrix(values.clone().set_requires_grad(true)), parameters({matrix}) {}
  void step(WeightMask& mask, const Tensor& gradients, std::int64_t step, std::int64_t steps) {
    torch::NoGradGuard no_grad;
    parameters.gradients().narrow(0, 0, matrix.numel()).copy_(gradients.reshape({-1}));
    mask.before_update();
    parameters.values().sub_(parameters.gradients(), 0.1);
    mask.after_update({step, steps});
  }
  Tensor now() const { return matrix.detach(); }
  Tensor matrix;
  FlatParameters parameters;
};

double zeros(const Tensor& x) { return (x == 0).to(torch::kDouble).mean().item<double>(); }

TEST(WeightMask, TheShareGrowsByTheCubeAndIsThereAtSeventyPercent) {
  EXPECT_EQ(zeros_grown(0, 1000), 0);
  EXPECT_EQ(zeros_grown(50, 1000), 0);
  EXPECT_NEAR(zeros_grown(50 + 325, 1000), 1 - 0.125, 1e-12);  // half way
  EXPECT_EQ(zeros_grown(700, 1000), 1);
  EXPECT_EQ(zeros_grown(1000, 1000), 1);
  for (const std::int64_t steps : {1, 2, 7, 40, 474, 5000}) {
    std::int64_t last = 0, times = 0;
    for (std::int64_t done = 1; done <= steps; ++done) {
      EXPECT_GE(zeros_grown(done, steps), zeros_grown(done - 1, steps));
      if (!zeros_chosen(done, steps)) continue;
      last = done;
      ++times;
    }
    EXPECT_EQ(zeros_grown(last, steps), 1) << steps << ": the last choice is of the whole share";
    EXPECT_LE(last, std::max<std::int64_t>(1, steps * 7 / 10));
    EXPECT_LE(times, 131);
    if (steps >= 100) {
      EXPECT_GT(times, 40);
    }
  }
}

TEST(WeightMask, EveryMatrixLosesItsSmallestToTheExactShare) {
  torch::manual_seed(1);
  const Tensor a = torch::randn({6, 7}), b = torch::randn({10, 5}) * 100;
  Tensor a_now = a.clone().set_requires_grad(true), b_now = b.clone().set_requires_grad(true);
  FlatParameters parameters({a_now, b_now});
  WeightMask mask(parameters, {a_now.detach(), b_now.detach()}, {0.3, false, false});
  for (std::int64_t step = 0; step < 20; ++step) {
    mask.before_update();
    mask.after_update({step, 20});
    if (step == 0) {
      EXPECT_EQ(zeros(a_now), 0) << "nothing before training";
    }
  }
  for (const auto& [now, before] : {std::pair(a_now.detach(), a), std::pair(b_now.detach(), b)}) {
    const auto count = std::llround(0.3 * static_cast<double>(before.numel()));
    EXPECT_EQ((now == 0).sum().item<std::int64_t>(), count);
    const float limit = std::get<0>(before.abs().reshape({-1}).sort())[count].item<float>();
    EXPECT_TRUE(torch::equal(now, torch::where(before.abs() < limit, torch::zeros_like(before), before)));
    EXPECT_FALSE(torch::signbit(now).logical_and(now == 0).any().item<bool>()) << "no zero is negative";
  }
}

TEST(WeightMask, TwoOfEveryFourGoAndNeverMore) {
  torch::manual_seed(2);
  for (const bool movement : {false, true}) {
    Alone alone(torch::randn({5, 10}));
    WeightMask mask(alone.parameters, {alone.now()}, {0, true, movement});
    for (std::int64_t step = 0; step < 40; ++step) {
      alone.step(mask, torch::randn({5, 10}), step, 40);
      for (std::int64_t row = 0; row < 5; ++row)
        for (const auto& [at, width, most] : {std::tuple(0, 4, 2), std::tuple(4, 4, 2), std::tuple(8, 2, 1)}) {
          const auto gone = (alone.now()[row].narrow(0, at, width) == 0).sum().item<std::int64_t>();
          EXPECT_LE(gone, most);
          if (step >= 27) {
            EXPECT_EQ(gone, most) << "step " << step;
          }
        }
    }
  }
}

// The first two are the smallest and go; then training pushes the first away from 0, the second towards it.
TEST(WeightMask, WhatTrainingMovesAwayFromZeroComesBackByMovementAlone) {
  const Tensor start = torch::tensor({0.6f, -0.5f, -1.0f, 2.0f}).view({1, 4}),
               gradient = torch::tensor({-0.2f, -0.2f, 0.0f, 0.0f}).view({1, 4});
  for (const bool movement : {false, true}) {
    Alone alone(start);
    WeightMask mask(alone.parameters, {alone.now()}, {0.5, false, movement});
    std::int64_t step = 0;
    while (step < 35) alone.step(mask, torch::zeros_like(gradient), step++, 100);
    EXPECT_TRUE(torch::equal(alone.now()[0] != 0, torch::tensor({false, false, true, true})));
    while (step < 100) alone.step(mask, gradient, step++, 100);
    const Tensor kept =
        movement ? torch::tensor({true, false, false, true}) : torch::tensor({false, false, true, true});
    EXPECT_TRUE(torch::equal(alone.now()[0] != 0, kept)) << "movement " << movement << ": " << alone.now();
  }
}

TEST(WeightMask, AWeightComesBackWithItsValueAndOneThatWasZeroNever) {
  for (const bool movement : {false, true})
    for (const float first : {0.7f, 0.0f}) {
      Alone alone(torch::tensor({first, 1.0f, 2.0f, 3.0f}).view({1, 4}));
      WeightMask mask(alone.parameters, {alone.now()}, {0.25, false, movement});
      const auto push = [](float second) { return torch::tensor({0.0f, second, 0.0f, 0.0f}).view({1, 4}); };
      std::int64_t step = 0;
      while (step < 30) alone.step(mask, push(0), step++, 100);
      EXPECT_EQ(alone.now()[0][0].item<float>(), 0);
      EXPECT_EQ(alone.now()[0][1].item<float>(), 1);
      while (step < 60) alone.step(mask, push(0.2f), step++, 100);  // it falls to 0.4
      EXPECT_EQ(alone.now()[0][0].item<float>(), first);
      EXPECT_EQ(alone.now()[0][1].item<float>() == 0, first != 0);
      while (step < 100) alone.step(mask, push(-0.5f), step++, 100);  // and would grow again: only by movement
      EXPECT_EQ(alone.now()[0][0].item<float>(), movement ? 0 : first);
      EXPECT_EQ(alone.now()[0][1].item<float>() == 0, !movement && first != 0);
    }
}

TEST(WeightMask, GradientsReachZerosByMovementAloneAndWhatWasZeroFromTheStartNever) {
  for (const bool movement : {false, true}) {
    Alone alone(torch::tensor({0.0f, 0.5f, 1.0f, 2.0f}).view({1, 4}));
    WeightMask mask(alone.parameters, {alone.now()}, {0.5, false, movement});
    for (std::int64_t step = 0; step < 80; ++step) alone.step(mask, torch::zeros({1, 4}), step, 100);
    alone.step(mask, torch::ones({1, 4}), 80, 100);
    const Tensor reached = torch::tensor({0.0f, movement ? 1.0f : 0.0f, 1.0f, 1.0f});
    EXPECT_TRUE(torch::equal(alone.parameters.gradients().narrow(0, 0, 4), reached)) << "movement " << movement;
    EXPECT_EQ(zeros(alone.now()), 0.5);
  }
}

Result<std::pair<Tensor, std::vector<Tensor>>> trained(const ZeroGoal& goal, int levels, const Checkpoints& checkpoints,
                                                       int threads) {
  torch::manual_seed(4);
  ModelSpec spec = testing::small_spec(NormOrder::post, 3, 4, 48);
  const auto texts = testing::random_texts(spec, 800);
  const auto teacher = std::make_shared<WholeModel>(spec, true);
  auto student = std::make_unique<WholeModel>(spec, true);
  student->copy_from(*teacher);
  DistilLearner learner(std::move(student), teacher, goal);
  learner.student().backbone().set_int8(levels);
  Schedule schedule;
  schedule.batch = 400;  // large enough to be cut in two
  schedule.steps = 12;
  schedule.warmup = 1;
  Metrics metrics;
  const auto facts =
      train_trunk(learner, {texts, texts.slice(0, 32), schedule, 1, threads, 5, false, false}, checkpoints, metrics);
  if (!facts) return facts.error();
  std::vector<Tensor> matrices;
  for (const auto& matrix : learner.student().layer_matrices()) matrices.push_back(matrix.clone());
  return std::pair(learner.parameters().values().clone(), matrices);
}

TEST(WeightMask, ThreadsAndInterruptionsChangeNothing) {
  namespace fs = std::filesystem;
  for (const auto& [goal, levels] : {std::pair(ZeroGoal{0.5, false, false}, 0), std::pair(ZeroGoal{0, true, false}, 0),
                                     std::pair(ZeroGoal{0.5, false, true}, 255)}) {
    const fs::path folder = fs::temp_directory_path() / ("fathom_weight_mask_" + std::to_string(::getpid()));
    fs::remove_all(folder);
    fs::create_directories(folder);
    const auto whole = trained(goal, levels, {}, 2);
    ASSERT_TRUE(whole) << whole.error().message;
    for (const auto& matrix : whole->second) EXPECT_NEAR(zeros(matrix), 0.5, 1e-9);
    const Checkpoints checkpoints(folder, {{"goal", goal.json()}});
    for (int stop = 0; stop < 8; ++stop) {  // after every step of those that choose
      stop_requested = 1;
      const auto stopped = trained(goal, levels, checkpoints, 1);
      stop_requested = 0;
      ASSERT_FALSE(stopped);
      ASSERT_EQ(stopped.error().code, Code::cancelled) << stopped.error().message;
    }
    const auto resumed = trained(goal, levels, checkpoints, 1);
    ASSERT_TRUE(resumed) << resumed.error().message;
    EXPECT_TRUE(torch::equal(resumed->first, whole->first)) << goal.json().dump();
    fs::remove_all(folder);
  }
}

TEST(WeightMask, WhatIsNoGoalIsRefused) {
  for (const char* wrong : {"0", "1", "-0.1", "nan", "x", "0.5x", "1:4", ""})
    EXPECT_FALSE(parse_zero_goal(wrong, false)) << wrong;
  EXPECT_TRUE(parse_zero_goal("2:4", true)->two_of_four);
  EXPECT_EQ(parse_zero_goal("0.5", false)->share, 0.5);
}

}  // namespace
}  // namespace fathom::train
