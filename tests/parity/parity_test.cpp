// One bundle, two forward passes: LibTorch (what was trained) and the engine (what ships). Logits of every exit agree
// within 1e-4, and the trajectories are the same except where a score lies within 1e-4 of lambda; that count is
// printed.
#include <gtest/gtest.h>

#include <unistd.h>

#include "base/file.h"
#include "base/random.h"
#include "bundle/bundle.h"
#include "data/dataset.h"
#include "engine/engine.h"
#include "train/export.h"
#include "train/fit.h"
#include "train/heads.h"

namespace fathom {
namespace {

constexpr double kTolerance = 1e-4;

struct Case {
  const char* name;
  data::Task task;
  std::vector<const char*> flags;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class Parity : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override { folder_ = fs::temp_directory_path() / ("fathom-parity-" + std::to_string(::getpid())); }
  void TearDown() override { fs::remove_all(folder_); }

  void fit_small() {
    data::GenerateOptions rows;
    rows.task = GetParam().task;
    rows.train = 1500;
    rows.tune = 400;
    rows.calibrate = 200;
    rows.test = 200;
    const auto made = data::generate_dataset(folder_ / "data", rows);
    ASSERT_TRUE(made) << made.error().message;
    const std::string data = (folder_ / "data").string(), out = (folder_ / "bundle").string();
    std::vector<const char*> argv = {"fathom-train",
                                     "--data",
                                     data.c_str(),
                                     "-o",
                                     out.c_str(),
                                     "--task",
                                     data::task_name(GetParam().task),
                                     "--layers",
                                     "4",
                                     "--hidden",
                                     "32",
                                     "--heads",
                                     "4",
                                     "--ffn",
                                     "48",
                                     "--steps",
                                     "60",
                                     "--no-progress"};
    argv.insert(argv.end(), GetParam().flags.begin(), GetParam().flags.end());
    const auto command = train::parse_command_line(static_cast<int>(argv.size()), argv.data());
    ASSERT_TRUE(command) << command.error().message;
    options_ = command->options;
    const auto done = train::fit(options_);
    ASSERT_TRUE(done) << done.error().message;
  }

  // The bundle's model in LibTorch, and the test rows it sees.
  void load_torch() {
    const auto bundle = Bundle::open(folder_ / "bundle");
    ASSERT_TRUE(bundle) << bundle.error().message;
    const auto model = Model::load(*bundle);
    ASSERT_TRUE(model) << model.error().message;
    model_ = *model;
    const ModelSpec& spec = model_->spec();
    backbone_ = std::make_unique<train::Backbone>(spec);
    heads_ = std::make_unique<train::Heads>(spec);
    ASSERT_TRUE(train::load_backbone(*backbone_, *(*bundle)->weights()));
    ASSERT_TRUE(train::load_heads(*heads_, *(*bundle)->decision()));
    const auto dataset = data::read_dataset(folder_ / "data", train::read_options(options_));
    ASSERT_TRUE(dataset) << dataset.error().message;
    const auto& test = dataset->part(data::Part::test);
    std::optional<data::Tokenizer> tokenizer;
    if (spec.modality == Modality::text) {
      auto read = data::Tokenizer::read(folder_ / "bundle");
      ASSERT_TRUE(read) << read.error().message;
      tokenizer = std::move(*read);
    }
    auto encoded = train::encode_part(test, spec, tokenizer ? &*tokenizer : nullptr);
    ASSERT_TRUE(encoded) << encoded.error().message;
    rows_ = *encoded;
  }

  engine::Batch engine_batch() {
    engine::Batch batch;
    batch.count = static_cast<std::size_t>(rows_.size());
    if (rows_.pixels.defined()) {
      batch.pixels = rows_.pixels.data_ptr<std::uint8_t>();
      return batch;
    }
    ids_.clear();
    offsets_ = {0};
    for (std::int64_t i = 0; i < rows_.size(); ++i) {
      for (std::int64_t t = 0; t < rows_.lengths[i].item<std::int64_t>(); ++t)
        ids_.push_back(rows_.ids[i][t].item<std::int32_t>());
      offsets_.push_back(static_cast<std::int32_t>(ids_.size()));
    }
    batch.ids = ids_;
    batch.offsets = offsets_;
    return batch;
  }

  fs::path folder_;
  train::FitOptions options_;
  std::shared_ptr<const Model> model_;
  std::unique_ptr<train::Backbone> backbone_;
  std::unique_ptr<train::Heads> heads_;
  train::Encoded rows_;
  std::vector<std::int32_t> ids_, offsets_;
};

// Exit each row takes by confidence, from LibTorch's logits; `near` where a score it met lies within kTolerance of
// lambda.
struct Taken {
  std::vector<int> exit;
  std::vector<bool> near;
};

Taken exits_by_confidence(const torch::Tensor& logits, const policy::Policy& policy, float lambda) {
  const auto n = logits.size(0), layers = logits.size(1);
  Taken out{std::vector<int>(static_cast<std::size_t>(n), static_cast<int>(layers)),
            std::vector<bool>(static_cast<std::size_t>(n))};
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t e = policy.first_exit; e < layers; ++e) {
      const auto row = logits[i][e - 1] / policy.temperature[static_cast<std::size_t>(e - 1)];
      const double score = torch::softmax(row, 0).max().item<double>();
      if (std::abs(score - lambda) < kTolerance) out.near[static_cast<std::size_t>(i)] = true;
      if (score < lambda) continue;
      out.exit[static_cast<std::size_t>(i)] = static_cast<int>(e);
      break;
    }
  }
  return out;
}

TEST_P(Parity, LogitsAndTrajectoriesAgree) {
  fit_small();
  if (HasFatalFailure()) return;
  load_torch();
  if (HasFatalFailure()) return;
  const auto expected = train::all_logits(*backbone_, *heads_, rows_, 50);

  auto runtime = engine::Runtime::create({});
  ASSERT_TRUE(runtime) << runtime.error().message;
  auto plan = engine::Plan::compile(model_, **runtime);
  ASSERT_TRUE(plan) << plan.error().message;
  engine::SessionLimits limits;
  limits.max_batch = static_cast<std::size_t>(rows_.size());
  auto session = engine::Session::create(*plan, **runtime, limits);
  ASSERT_TRUE(session) << session.error().message;
  std::vector<engine::Prediction> predictions(limits.max_batch);
  engine::RunOptions trace;
  trace.mode = engine::Mode::trace;
  const auto ran = session->run(engine_batch(), trace, predictions);
  ASSERT_TRUE(ran) << ran.error().message;
  const auto logits = session->trace_logits();
  ASSERT_EQ(static_cast<std::int64_t>(logits.size()), expected.numel());
  const auto got = torch::from_blob(const_cast<float*>(logits.data()), expected.sizes(), torch::kFloat).clone();
  const double worst = (got - expected).abs().max().item<double>();
  EXPECT_LT(worst, kTolerance);
  EXPECT_GT(expected.std().item<double>(), 1e-3);  // a constant would agree too

  int near_lambda = 0, early = 0;
  for (const float lambda : {0.4f, 0.6f, 0.9f}) {
    engine::RunOptions adaptive;
    adaptive.lambda = lambda;
    adaptive.score = static_cast<int>(policy::Score::confidence);
    ASSERT_TRUE(session->run(engine_batch(), adaptive, predictions));
    const auto taken = exits_by_confidence(expected, (*plan)->policy(), lambda);
    for (std::size_t i = 0; i < predictions.size(); ++i) {
      near_lambda += taken.near[i] ? 1 : 0;
      early += taken.exit[i] < model_->spec().layers ? 1 : 0;
      if (taken.near[i]) continue;
      EXPECT_EQ(predictions[i].depth, taken.exit[i]) << "input " << i << " at lambda " << lambda;
    }
  }
  EXPECT_GT(early, 0);
  std::printf("%s: logits differ by at most %.2e; %d of %zu decisions lay within 1e-4 of lambda\n", GetParam().name,
              worst, near_lambda, 3 * predictions.size());
}

const Case kCases[] = {
    {"text_pre_window", data::Task::text_classification, {"--norm", "pre", "--window", "1", "--pooling", "cls"}},
    {"text_post_full", data::Task::text_classification, {"--norm", "post", "--window", "0", "--pooling", "cls_mean"}},
    {"text_pre_linear",
     data::Task::text_classification,
     {"--norm", "pre", "--attention", "linear", "--pooling", "cls_mean"}},
    {"image",
     data::Task::image_classification,
     {"--norm", "pre", "--window", "0", "--pooling", "cls_mean", "--patch", "8"}},
};
INSTANTIATE_TEST_SUITE_P(Bundles, Parity, ::testing::ValuesIn(kCases),
                         [](const auto& tested) { return std::string(tested.param.name); });

}  // namespace
}  // namespace fathom
