// A checkpoint's layers in LibTorch: the logits of the library it comes from for every family that is read, and a file
// that gives back what was put in.
#include "train/tuning.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "base/file.h"
#include "data/preprocessing.h"
#include "model/hugging_face.h"

namespace fathom::train {
namespace {

using torch::Tensor;

constexpr const char* kFamilies[] = {"bert", "bert_sharded", "bert_bf16",    "distilbert", "roberta",
                                     "vit",  "deit",         "deit_teacher", "timm_vit",   "timm_deit_distilled"};

struct Case {
  Checkpoint checkpoint;
  std::shared_ptr<const SafeTensors> weights;
  std::shared_ptr<const fathom::Model> model;
  Encoded inputs;
  Tensor logits;
};

Tensor numbers(const Json& rows, torch::ScalarType type) {
  std::int64_t widest = 0;
  for (const Json& row : rows) widest = std::max(widest, static_cast<std::int64_t>(row.size()));
  auto out = torch::zeros({static_cast<std::int64_t>(rows.size()), widest}, torch::kDouble);
  for (std::int64_t i = 0; i < out.size(0); ++i)
    for (std::int64_t j = 0; j < static_cast<std::int64_t>(rows[static_cast<std::size_t>(i)].size()); ++j)
      out[i][j] = rows[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)].get<double>();
  return out.to(type);
}

Result<Case> read_case(const fs::path& folder) {
  Case out;
  const fs::path index = folder / "model.safetensors.index.json";
  FATHOM_TRY(out.weights,
             fs::exists(index) ? SafeTensors::open_sharded(index) : SafeTensors::open(folder / "model.safetensors"));
  FATHOM_TRY(const std::string config, read_file(folder / "config.json"));
  FATHOM_TRY(const Json json, parse_json(config, "config.json"));
  FATHOM_TRY(out.checkpoint, read_checkpoint(json, *out.weights, "config.json"));
  ModelSpec& spec = out.checkpoint.spec;
  if (spec.modality == Modality::image) {
    FATHOM_TRY(const auto how, data::read_preprocessing(folder));
    if (how) {
      const auto statistics = data::unit_statistics(*how);
      for (std::size_t i = 0; i < 3; ++i) {
        spec.pixel_mean[i] = static_cast<float>(statistics.mean[i]);
        spec.pixel_std[i] = static_cast<float>(statistics.std[i]);
      }
    }
  }
  FATHOM_TRY(out.model, fathom::Model::of_checkpoint(spec, out.checkpoint.naming, out.weights));
  FATHOM_TRY(const std::string text, read_file(folder / "reference.json"));
  FATHOM_TRY(const Json reference, parse_json(text, "reference.json"));
  out.logits = numbers(reference["logits"], torch::kFloat);
  const std::int64_t n = out.logits.size(0);
  out.inputs.labels = torch::zeros({n}, torch::kLong);
  if (spec.modality == Modality::text) {
    out.inputs.ids = numbers(reference["ids"], torch::kLong);
    if (reference.contains("types")) out.inputs.types = numbers(reference["types"], torch::kLong);
    out.inputs.lengths = torch::empty({n}, torch::kLong);
    for (std::int64_t i = 0; i < n; ++i)
      out.inputs.lengths[i] = static_cast<std::int64_t>(reference["ids"][static_cast<std::size_t>(i)].size());
  } else {
    out.inputs.pixels = numbers(reference["pixels"], torch::kByte).view({n, spec.image_height, spec.image_width, 3});
    out.inputs.lengths = torch::full({n}, spec.tokens(), torch::kLong);
  }
  return out;
}

class TuningFamilies : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const char* root = std::getenv("FATHOM_SOURCE_DIR");
    ASSERT_NE(root, nullptr) << "run through ctest, or set FATHOM_SOURCE_DIR";
    auto read = read_case(fs::path(root) / "tests/parity/checkpoints" / GetParam());
    ASSERT_TRUE(read) << read.error().message;
    case_ = std::move(*read);
    file_ = fs::temp_directory_path() / ("fathom_tuning_" + std::to_string(::getpid()) + ".safetensors");
  }
  void TearDown() override { fs::remove(file_); }

  Result<std::shared_ptr<const fathom::Model>> written(const TuningLearner& learner) {
    const auto& [spec, naming] = std::tie(case_.checkpoint.spec, case_.checkpoint.naming);
    FATHOM_TRY(const std::string bytes, learner.file(*case_.weights, naming));
    FATHOM_TRY_VOID(write_file_atomic(file_, bytes));
    FATHOM_TRY(const auto tensors, SafeTensors::open(file_));
    return fathom::Model::of_checkpoint(spec, naming, tensors);
  }

  // The first weight of `model` that is not what the learner has, bit for bit; "" if there is none.
  std::string other_weight(const fathom::Model& model, const TuningLearner& learner) {
    for (const auto& [name, tensor] : learner.weights())
      if (!torch::equal(tensor,
                        torch::from_blob(const_cast<float*>(model.weight(name)), tensor.sizes(), torch::kFloat)))
        return name;
    return "";
  }

  Case case_;
  fs::path file_;
};

TEST_P(TuningFamilies, LogitsAreTheLibrarys) {
  TuningLearner learner(*case_.model, {});
  EXPECT_LE((learner.logits(case_.inputs) - case_.logits).abs().max().item<float>(), 1e-4f);
}

TEST_P(TuningFamilies, WhatWasLearnedIsWhatTheFileHolds) {
  TuningLearner learner(*case_.model, {Tuning::exits, true, {}});
  const auto same = written(learner);
  ASSERT_TRUE(same) << same.error().message;
  EXPECT_EQ(other_weight(**same, learner), "");

  const auto before = learner.parameters().values().clone();
  const auto loss = learner.loss(case_.inputs, torch::arange(case_.inputs.size()), {1, 10, 0, case_.inputs.size(), 1});
  loss.backward();
  {
    torch::NoGradGuard no_grad;
    learner.parameters().values().sub_(learner.parameters().gradients(), 0.1);
  }
  EXPECT_TRUE(std::isfinite(loss.item<double>()));
  EXPECT_FALSE(torch::equal(before, learner.parameters().values()));
  const auto changed = written(learner);
  ASSERT_TRUE(changed) << changed.error().message;
  EXPECT_EQ(other_weight(**changed, learner), "");
  EXPECT_NE(other_weight(**same, learner), "") << "the step changed nothing that is kept";
}

INSTANTIATE_TEST_SUITE_P(Families, TuningFamilies, ::testing::ValuesIn(kFamilies));

TEST(Tuning, AReplicaSharesValuesAndHasGradientsOfItsOwn) {
  const char* root = std::getenv("FATHOM_SOURCE_DIR");
  ASSERT_NE(root, nullptr) << "run through ctest, or set FATHOM_SOURCE_DIR";
  auto read = read_case(fs::path(root) / "tests/parity/checkpoints/roberta");
  ASSERT_TRUE(read) << read.error().message;
  TuningLearner learner(*read->model, {Tuning::exits, true, {}});
  const auto other = learner.replica();
  const auto rows = torch::arange(read->inputs.size());
  const Place place{3, 10, 0, read->inputs.size(), 1};
  for (Learner* each : {static_cast<Learner*>(&learner), other.get()}) each->loss(read->inputs, rows, place).backward();
  EXPECT_TRUE(torch::equal(learner.parameters().gradients(), other->parameters().gradients()));
  EXPECT_EQ(learner.parameters().values().data_ptr<float>(), other->parameters().values().data_ptr<float>());
  EXPECT_NE(learner.parameters().gradients().data_ptr<float>(), other->parameters().gradients().data_ptr<float>());
}

}  // namespace
}  // namespace fathom::train
