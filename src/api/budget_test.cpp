// Budgets through the public interface, on a random bundle of pictures.
#define FATHOM_BUILDING_API
#include "api/budget.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "engine/random_bundle.h"
#include "fathom/fathom.hpp"

namespace fathom::api {
namespace {

class PublicBudget : public ::testing::Test {
 protected:
  void SetUp() override {
    const ModelSpec spec = engine::small_spec(Modality::image);
    policy::Policy policy = engine::random_policy(spec, 7);
    policy.score = policy::Score::confidence;
    ASSERT_TRUE(engine::write_random_bundle(folder_, spec, 7, policy).has_value());
  }
  void TearDown() override { fs::remove_all(folder_); }
  void add_table() {
    Json fathom = (*Bundle::open(folder_))->fathom();
    const std::vector<double> exits(6, 0);
    fathom["budget_table"] = policy::budget_table_to_json(
        {"confidence", 10, {{2.0f, 1e6, 6, 1, exits}, {0.75f, 5e5, 3, 0.98, exits}, {0.0f, 2e5, 1, 0.7, exits}}});
    ASSERT_TRUE(update_bundle(folder_, fathom).has_value());
  }
  fs::path folder_ = fs::temp_directory_path() / ("fathom_budget_" + std::to_string(::getpid()));
};

TEST_F(PublicBudget, BecomesAnAskAndSaysWhatToExpect) {
  add_table();
  auto model = v1::Model::open(folder_.string(), {1, "", 1});
  ASSERT_TRUE(model.has_value()) << model.error().text();
  const auto half = model->within("macs=50%");
  ASSERT_TRUE(half.has_value()) << half.error().text();
  EXPECT_EQ(half->ask.lambda, 0.75f);
  EXPECT_EQ(half->ask.max_depth, 0);
  EXPECT_EQ(half->macs, 5e5);
  EXPECT_EQ(half->full_macs, 1e6);
  EXPECT_EQ(half->agreement, 0.98);
  const std::vector<std::uint8_t> pixels(16 * 16 * 3, 90);
  const v1::Picture picture{pixels.data(), 16, 16};
  EXPECT_TRUE(model->classify(picture, half->ask).has_value());

  const auto memory = model->within("mb=100000");
  ASSERT_TRUE(memory.has_value()) << memory.error().text();
  EXPECT_EQ(memory->ask.max_depth, 0);
  EXPECT_GT(memory->peak_mb, 1);
  v1::Ask bounded;
  bounded.lambda = 1.0f;
  bounded.max_depth = 2;
  EXPECT_EQ(model->classify(picture, bounded)->depth, 2);
  bounded.max_depth = 7;
  EXPECT_EQ(model->classify(picture, bounded).error().code, 202);
  bounded.max_depth = -1;
  EXPECT_EQ(model->classify(picture, bounded).error().code, 202);
}

TEST_F(PublicBudget, RefusalsSayWhatToDo) {
  auto model = v1::Model::open(folder_.string());
  ASSERT_TRUE(model.has_value());
  EXPECT_EQ(model->within("macs=50%").error().code, 303);  // no table yet
  EXPECT_NE(model->within("macs=50%").error().hint.find("fathom certify"), std::string::npos);
  EXPECT_EQ(model->within("macs=50").error().code, 201);
  EXPECT_EQ(model->within("mb=1").error().code, 201);
  add_table();
  model = v1::Model::open(folder_.string());
  EXPECT_EQ(model->within("macs=10%").error().code, 201);
  EXPECT_EQ(model->within("ms=1").error().code, 303);  // no times
  EXPECT_NE(model->within("ms=1").error().hint.find("fathom eval"), std::string::npos);
}

}  // namespace
}  // namespace fathom::api
