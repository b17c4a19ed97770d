#include "eval/map_inputs.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>

#include "bundle/bundle.h"
#include "engine/random_bundle.h"
#include "eval/sample_eval.h"

namespace fathom::eval {
namespace {

struct MapInputs : ::testing::Test {
  void SetUp() override {
    const ModelSpec spec = testing::small_spec();
    ASSERT_TRUE(engine::write_random_bundle(folder, spec, 3, engine::random_policy(spec, 1)));
    auto opened = Bundle::open(folder);
    auto model = Model::load(*opened);
    auto made = engine::Runtime::create({"", 1});
    ASSERT_TRUE(model && made);
    runtime = std::move(*made);
    plan = *engine::Plan::compile(*model, *runtime);
    inputs = random_inputs(spec, 21, 9, 5);
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  // All rows that one map of one layer reads.
  std::vector<std::vector<double>> rows(std::size_t layer, engine::RowsRead::Map map) {
    std::vector<std::vector<double>> out;
    auto session = engine::Session::create(plan, *runtime, limits_for(inputs, inputs.count));
    std::vector<std::int32_t> offsets;
    const auto see = [&](const engine::RowsRead& read) {
      if (read.layer != layer || read.map != map) return;
      for (std::size_t r = 0; r < read.count; ++r)
        out.emplace_back(read.rows + r * read.stride, read.rows + r * read.stride + read.width);
    };
    EXPECT_TRUE(session->watch(batch_of(inputs, 0, inputs.count, offsets), plan->spec().layers, see));
    return out;
  }

  std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("fathom_map_inputs_" + std::to_string(::getpid()));
  std::unique_ptr<engine::Runtime> runtime;
  std::shared_ptr<const engine::Plan> plan;
  Encoded inputs;
};

TEST_F(MapInputs, MomentsOfTheMapsThatAreWanted) {
  const auto all_layers = input_moments(plan, *runtime, inputs, 1, 3, {true, true, false, true});
  ASSERT_TRUE(all_layers) << all_layers.error().message;
  ASSERT_EQ(all_layers->size(), 3u);
  for (const int layer : {1, 3}) {
    const InputMoments* moments = &(*all_layers)[static_cast<std::size_t>(layer) - 1];
    EXPECT_EQ(moments->rows, 21u * 9u);
    EXPECT_EQ(moments->of[2].width, 0u);
    for (const auto& [of, map] :
         {std::pair(&moments->of[0], engine::RowsRead::Map::qkv), std::pair(&moments->of[1], engine::RowsRead::Map::o),
          std::pair(&moments->of[3], engine::RowsRead::Map::f2)}) {
      const auto all = rows(static_cast<std::size_t>(layer), map);
      ASSERT_EQ(all.size(), moments->rows);
      ASSERT_EQ(all[0].size(), of->width);
      for (std::size_t i = 0; i < of->width; ++i) {
        double sum = 0;
        for (const auto& row : all) sum += row[i];
        ASSERT_NEAR(of->sums[i], sum, 1e-6 + 1e-6 * std::fabs(sum));
        for (std::size_t j = 0; j < of->width; ++j) {
          double product = 0, size = 0;
          for (const auto& row : all) product += row[i] * row[j], size += std::fabs(row[i] * row[j]);
          ASSERT_NEAR(of->products[i * of->width + j], product, 1e-6 + 1e-5 * size) << i << " " << j;
        }
      }
    }
  }
}

TEST_F(MapInputs, ValuesThatAreNotFiniteAreAnError) {
  const auto model = *Model::load(*Bundle::open(folder));
  const float* weights = model->weight("encoder.layer.1.intermediate.dense.bias");
  const auto whole = model->bundle()->weights()->file_bytes();
  const auto at = reinterpret_cast<const std::byte*>(weights) - whole.data();
  std::vector<char> bytes(whole.size());
  std::memcpy(bytes.data(), whole.data(), whole.size());
  const float huge = 1e30f;  // finite, as its square is not
  std::memcpy(bytes.data() + at, &huge, sizeof huge);
  std::map<std::string, std::filesystem::path> kept;
  for (const auto& [name, entry] : model->bundle()->fathom()["files"].items())
    if (name != "model.safetensors") kept[name] = folder / name;
  ASSERT_TRUE(
      write_bundle(folder, {{"model.safetensors", {bytes.data(), bytes.size()}}}, model->bundle()->fathom(), kept));
  const auto damaged = engine::Plan::compile(*Model::load(*Bundle::open(folder)), *runtime);
  ASSERT_TRUE(damaged);
  const auto moments = input_moments(*damaged, *runtime, inputs, 0, 3, {false, false, false, true});
  ASSERT_FALSE(moments);
  EXPECT_NE(moments.error().message.find("layer 2 reads values on this data that are not finite"), std::string::npos)
      << moments.error().message;
}

TEST_F(MapInputs, SumsOfEveryMap) {
  const auto sums = input_sums(plan, *runtime, inputs);
  ASSERT_TRUE(sums);
  EXPECT_EQ(sums->rows, 21u * 9u);
  using Map = engine::RowsRead::Map;
  for (const auto& [map, at] : {std::pair(Map::qkv, std::size_t{0}), std::pair(Map::o, sums->at_o()),
                                std::pair(Map::f1, sums->at_f1()), std::pair(Map::f2, sums->at_f2())}) {
    const auto all = rows(2, map);
    for (std::size_t i = 0; i < all[0].size(); ++i) {
      double sum = 0, size = 0;
      for (const auto& row : all) sum += row[i], size += std::fabs(row[i]);
      const std::size_t place = 2 * sums->layer_width() + at + i;
      ASSERT_NEAR(sums->exact[place], sum, 1e-6 + 1e-5 * size) << static_cast<int>(map) << " " << i;
      ASSERT_NEAR(sums->rounded[place], sum, 0.05 * size) << "rounding is small";
    }
  }
}

}  // namespace
}  // namespace fathom::eval
