// The layers in bf16 and int8 against the same model in fp32, on every tier of this CPU: what rounding may change, and
// what a map wired to the wrong rows would.
#include <gtest/gtest.h>

#include <cmath>

#include "base/file.h"
#include "engine/parts.h"
#include "engine/test_models.h"

namespace fathom::engine {
namespace {

using testing::Case;
using testing::Inputs;
using testing::Loaded;

double cosine(std::span<const float> a, std::span<const float> b) {
  double ab = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    ab += static_cast<double>(a[i]) * b[i];
    aa += static_cast<double>(a[i]) * a[i];
    bb += static_cast<double>(b[i]) * b[i];
  }
  return ab / std::sqrt(aa * bb);
}

std::vector<float> hidden_states(const Case& which, const std::string& tier, int threads) {
  Loaded loaded(which, tier, threads);
  const Inputs inputs = testing::random_inputs(which.spec, 12, 31);
  testing::must(loaded.session->run_backbone(inputs.batch()));
  return testing::copy(loaded.session->hidden());
}

TEST(Precision, StatesStayNearFp32AndAreNotIt) {
  for (Case which : testing::all_cases())
    for (const std::string& tier : testing::tiers_here()) {
      which.precision = Precision::fp32;
      const std::vector<float> exact = hidden_states(which, tier, 1);
      for (const auto& [precision, least] : {std::pair(Precision::bf16, 0.9995), std::pair(Precision::int8, 0.995)}) {
        which.precision = precision;
        const std::vector<float> got = hidden_states(which, tier, 1);
        EXPECT_GE(cosine(got, exact), least) << which.name << " " << tier << " " << precision_name(precision);
        EXPECT_NE(got, exact) << which.name << " " << tier << " " << precision_name(precision);
        EXPECT_EQ(hidden_states(which, tier, 3), got) << "threads";
      }
    }
}

TEST(Precision, ARowLongerThanInt8SumsUpIsRefused) {
  Case which = testing::all_cases()[0];
  which.name = "long_rows";
  which.spec.layers = 1;
  which.spec.ffn = 33024;  // above kernels::kInt8MaxK
  const auto folder = testing::folder_for(which.name);
  testing::must(write_random_bundle(folder, which.spec, 7, random_policy(which.spec, 3)));
  const auto runtime = testing::must(Runtime::create({"", 1}));
  EXPECT_TRUE(Plan::compile(testing::load_model(folder), *runtime)) << "in fp32 it runs";
  Json fathom = testing::must(Bundle::open(folder))->fathom();
  fathom["precision"] = "int8";
  testing::must(update_bundle(folder, fathom));
  const auto plan = Plan::compile(testing::load_model(folder), *runtime);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code, Code::unsupported);
  EXPECT_NE(plan.error().message.find("'encoder.layer.0.output.dense' reads 33024 values"), std::string::npos)
      << plan.error().message;
}

TEST(Precision, PackedFilesAreOfTheirOwn) {
  Case which = testing::all_cases()[0];
  std::size_t before = 0;
  for (const Precision precision : {Precision::fp32, Precision::bf16, Precision::int8}) {
    which.precision = precision;
    const Loaded loaded(which, "", 1);
    const auto file = loaded.model->bundle()->folder() / packed_name(precision, loaded.runtime->kernels());
    ASSERT_TRUE(fs::exists(file)) << file;
    const std::size_t bytes = loaded.plan->weight_bytes(which.spec.layers) - loaded.plan->weight_bytes(0);
    if (before > 0) {
      EXPECT_LT(bytes, before) << precision_name(precision);
    }
    before = bytes;
    const auto checks = testing::must(verify_packed(*loaded.model));
    EXPECT_GE(checks.size(), 1u);
    for (const PackedCheck& check : checks) EXPECT_TRUE(check.used) << check.name;
  }
}

TEST(Precision, AnUnknownOneIsRefused) {
  const Case which = testing::all_cases()[0];
  const auto folder = testing::folder_for("unknown_precision");
  testing::must(write_random_bundle(folder, which.spec, 7, which.policy));
  Json fathom = testing::must(Bundle::open(folder))->fathom();
  fathom["precision"] = "int3";
  testing::must(update_bundle(folder, fathom));
  const auto model = Model::load(testing::must(Bundle::open(folder)));
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, Code::corrupt_bundle);
  EXPECT_NE(model.error().message.find("unknown precision 'int3'"), std::string::npos) << model.error().message;
}

}  // namespace
}  // namespace fathom::engine
