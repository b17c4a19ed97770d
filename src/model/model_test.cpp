#include "model/model.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "base/file.h"
#include "model/names.h"

namespace fathom {
namespace {

namespace fs = std::filesystem;

ModelSpec small_text() {
  ModelSpec spec;
  spec.layers = 2, spec.hidden = 8, spec.heads = 2, spec.ffn = 16, spec.vocab = 20, spec.max_tokens = 6;
  spec.exit_head_hidden = 4, spec.label_names = {"a", "b", "c"}, spec.extractor = {4, 2, 3, 5}, spec.policy_hidden = 6;
  return spec;
}

ModelSpec small_image() {
  ModelSpec spec = small_text();
  spec.modality = Modality::image, spec.norm = NormOrder::pre;
  spec.image_height = 8, spec.image_width = 12, spec.patch = 4;
  return spec;
}

std::map<std::string, std::vector<std::int64_t>> by_name(const std::vector<TensorSpec>& list) {
  std::map<std::string, std::vector<std::int64_t>> shapes;
  for (const auto& item : list) EXPECT_TRUE(shapes.emplace(item.name, item.shape).second) << item.name;
  return shapes;
}

// A file with these tensors, element k of the file being k.
std::string bytes_of(const std::vector<TensorSpec>& list) {
  std::vector<std::vector<float>> data;
  float next = 0;
  std::vector<NamedTensor> named;
  for (const auto& item : list) {
    TensorView view{nullptr, item.shape};
    data.emplace_back(static_cast<std::size_t>(view.elements()));
    for (float& value : data.back()) value = next++;
    view.data = data.back().data();
    named.push_back({item.name, view});
  }
  return safetensors_bytes(named);
}

class ModelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("fathom_model_" + std::to_string(::getpid()));
    fs::remove_all(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  Result<std::shared_ptr<const Model>> load(const ModelSpec& spec, const std::vector<TensorSpec>& backbone,
                                            const std::vector<TensorSpec>& decision) {
    std::map<std::string, std::string> files = {{"config.json", spec_to_json(spec).dump()},
                                                {"model.safetensors", bytes_of(backbone)}};
    if (!decision.empty()) files["fathom.safetensors"] = bytes_of(decision);
    FATHOM_TRY_VOID(write_bundle(folder_, files, Json::object()));
    FATHOM_TRY(auto bundle, Bundle::open(folder_));
    return Model::load(bundle);
  }
  fs::path folder_;
};

TEST(Names, TextBackboneIsBert) {
  const ModelSpec spec = small_text();
  const auto shapes = by_name(backbone_tensors(spec));
  EXPECT_EQ(shapes.size(), 5u + 2 * 16);
  EXPECT_EQ(shapes.at("embeddings.word_embeddings.weight"), (std::vector<std::int64_t>{20, 8}));
  EXPECT_EQ(shapes.at("embeddings.token_type_embeddings.weight"), (std::vector<std::int64_t>{2, 8}));
  EXPECT_EQ(shapes.at("encoder.layer.1.attention.self.key.weight"), (std::vector<std::int64_t>{8, 8}));
  EXPECT_EQ(shapes.at("encoder.layer.0.intermediate.dense.weight"), (std::vector<std::int64_t>{16, 8}));
  EXPECT_EQ(shapes.at("encoder.layer.0.intermediate.dense.bias"), (std::vector<std::int64_t>{16}));
  EXPECT_EQ(shapes.at("encoder.layer.0.output.dense.weight"), (std::vector<std::int64_t>{8, 16}));
  EXPECT_TRUE(shapes.contains("encoder.layer.1.attention.output.LayerNorm.bias"));
  EXPECT_TRUE(shapes.contains("encoder.layer.1.output.LayerNorm.weight"));
  ModelSpec pre = spec;
  pre.norm = NormOrder::pre, pre.token_types = 0;
  const auto other = by_name(backbone_tensors(pre));
  EXPECT_EQ(other.size(), 2u + 2 * 16);
  EXPECT_TRUE(other.contains("encoder.layer.0.layernorm_before.weight"));
  EXPECT_TRUE(other.contains("encoder.layer.0.layernorm_after.bias"));
  EXPECT_FALSE(other.contains("encoder.layer.0.output.LayerNorm.weight"));
}

TEST(Names, Image) {
  const ModelSpec spec = small_image();
  const auto shapes = by_name(backbone_tensors(spec));
  EXPECT_EQ(shapes.size(), 4u + 2 * 16);
  EXPECT_EQ(shapes.at("embeddings.patch_embeddings.projection.weight"), (std::vector<std::int64_t>{8, 3, 4, 4}));
  EXPECT_EQ(shapes.at("embeddings.position_embeddings"), (std::vector<std::int64_t>{7, 8}));
  EXPECT_EQ(shapes.at("embeddings.cls_token"), (std::vector<std::int64_t>{8}));
  EXPECT_EQ(by_name(decision_tensors(spec)).at("extractor.conv2.weight"), (std::vector<std::int64_t>{3, 2, 3, 3}));
}

TEST(Names, Decision) {
  ModelSpec spec = small_text();
  auto shapes = by_name(decision_tensors(spec));
  EXPECT_EQ(shapes.size(), 6u + 4 + 6 + 2 + 3 + 2);
  EXPECT_EQ(shapes.at("exits.1.norm.weight"), (std::vector<std::int64_t>{16}));
  EXPECT_EQ(shapes.at("exits.1.dense.weight"), (std::vector<std::int64_t>{4, 16}));
  EXPECT_EQ(shapes.at("exits.1.out.weight"), (std::vector<std::int64_t>{3, 4}));
  EXPECT_FALSE(shapes.contains("exits.2.dense.weight"));
  EXPECT_EQ(shapes.at("exits.2.out.weight"), (std::vector<std::int64_t>{3, 16}));
  EXPECT_EQ(shapes.at("extractor.conv1.weight"), (std::vector<std::int64_t>{2, 4, 1, 3}));
  EXPECT_EQ(shapes.at("policy.init.weight"), (std::vector<std::int64_t>{6, 7}));
  EXPECT_EQ(shapes.at("policy.lstm.weight_ih"), (std::vector<std::int64_t>{24, 7}));
  EXPECT_EQ(shapes.at("policy.lstm.weight_hh"), (std::vector<std::int64_t>{24, 6}));
  EXPECT_EQ(shapes.at("policy.out.bias"), (std::vector<std::int64_t>{2}));
  spec.exit_head_hidden = 0, spec.pooling = Pooling::cls;
  shapes = by_name(decision_tensors(spec));
  EXPECT_EQ(shapes.at("exits.1.out.weight"), (std::vector<std::int64_t>{3, 8}));
  EXPECT_TRUE(shapes.contains("exits.2.norm.bias"));
}

TEST_F(ModelTest, LoadsAndFindsEveryWeight) {
  for (const ModelSpec& spec : {small_text(), small_image()}) {
    const auto loaded = load(spec, backbone_tensors(spec), decision_tensors(spec));
    ASSERT_TRUE(loaded.has_value()) << loaded.error().message;
    const Model& model = **loaded;
    EXPECT_EQ(model.spec().hidden, 8);
    EXPECT_TRUE(model.has_decision());
    EXPECT_NE(model.bundle(), nullptr);
    std::set<const float*> places;
    for (const auto& item : backbone_tensors(spec)) places.insert(model.weight(item.name));
    for (const auto& item : decision_tensors(spec)) places.insert(model.weight(item.name));
    EXPECT_EQ(places.size(), backbone_tensors(spec).size() + decision_tensors(spec).size());
    EXPECT_EQ(model.weight(backbone_tensors(spec)[0].name)[3], 3.0f);
  }
  const auto alone = load(small_text(), backbone_tensors(small_text()), {});
  ASSERT_TRUE(alone.has_value());
  EXPECT_FALSE((*alone)->has_decision());
}

TEST_F(ModelTest, MissingOrMisshapenTensorsAreNamed) {
  const ModelSpec spec = small_text();
  for (int which = 0; which < 2; ++which) {
    const auto whole = which == 0 ? backbone_tensors(spec) : decision_tensors(spec);
    for (std::size_t i = static_cast<std::size_t>(which); i < whole.size();
         i += 3) {  // every third: each is a bundle on disk
      const auto attempt = [&](const std::vector<TensorSpec>& changed) {
        return which == 0 ? load(spec, changed, decision_tensors(spec)) : load(spec, backbone_tensors(spec), changed);
      };
      auto missing = whole;
      missing.erase(missing.begin() + static_cast<std::ptrdiff_t>(i));
      const auto one = attempt(missing);
      ASSERT_FALSE(one.has_value()) << whole[i].name;
      EXPECT_EQ(one.error().code, Code::corrupt_bundle);
      EXPECT_NE(one.error().message.find("'" + whole[i].name + "' is missing"), std::string::npos)
          << one.error().message;
      auto misshapen = whole;
      misshapen[i].shape.back() += 1;
      const auto two = attempt(misshapen);
      ASSERT_FALSE(two.has_value()) << whole[i].name;
      EXPECT_NE(two.error().message.find("'" + whole[i].name + "': expected shape " + shape_text(whole[i].shape)),
                std::string::npos);
      EXPECT_NE(two.error().message.find("got " + shape_text(misshapen[i].shape)), std::string::npos);
    }
  }
}

TEST_F(ModelTest, BackboneOnlyNeedsNoLabels) {
  ModelSpec spec = small_text();
  spec.label_names.clear();
  fs::create_directories(folder_);
  ASSERT_TRUE(write_file_atomic(folder_ / "w.safetensors", bytes_of(backbone_tensors(spec))).has_value());
  const auto tensors = SafeTensors::open(folder_ / "w.safetensors");
  ASSERT_TRUE(tensors.has_value());
  const auto model = Model::backbone_only(spec, *tensors);
  ASSERT_TRUE(model.has_value()) << model.error().message;
  EXPECT_EQ((*model)->bundle(), nullptr);
  EXPECT_FALSE((*model)->has_decision());
  EXPECT_NE((*model)->weight("encoder.layer.1.output.dense.bias"), nullptr);
  spec.heads = 3;
  EXPECT_FALSE(Model::backbone_only(spec, *tensors).has_value());
  EXPECT_DEATH((void)(*model)->weight("nothing"), "no such weight");
}

// An imported checkpoint's fathom.json may say anything of where ours lie in the file's tensors.
class ImportedModel : public ModelTest {
 protected:
  Result<std::shared_ptr<const Model>> load_named(ModelSpec spec, const Naming& naming, std::int64_t rows) {
    std::vector<TensorSpec> list;
    for (const auto& wanted : {backbone_tensors(spec), task_head_tensors(spec)})
      for (const TensorSpec& tensor : wanted)
        for (const TensorSource& source : sources_of(spec, naming, tensor)) {
          const auto same = [&](const TensorSpec& one) { return one.name == source.name; };
          if (std::none_of(list.begin(), list.end(), same)) list.push_back({source.name, source.shape});
          if (source.name.ends_with("position_embeddings.weight")) list.back().shape[0] = rows;
        }
    Json fathom;
    fathom["model"] = {{"spec", spec_to_json(spec)}, {"names", naming_to_json(naming)}};
    FATHOM_TRY_VOID(write_bundle(folder_, {{"config.json", "{}"}, {"model.safetensors", bytes_of(list)}}, fathom));
    FATHOM_TRY(auto bundle, Bundle::open(folder_));
    return Model::load(bundle);
  }
};

TEST_F(ImportedModel, SlicesLieInsideTheirTensor) {
  ModelSpec spec = small_text();
  spec.task_head = TaskHead::pooler_tanh;
  spec.task_head_hidden = spec.hidden;
  Naming naming{Family::roberta, "roberta.", 2, 8};
  ASSERT_TRUE(load_named(spec, naming, 8)) << "six positions behind two that no text uses";
  const float* first = load_named(spec, naming, 8).value()->weight("embeddings.position_embeddings.weight");
  EXPECT_NE(first, nullptr);
  const auto refused = [&](const ModelSpec& wrong, const Naming& names) {
    const auto loaded = load_named(wrong, names, names.positions);
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().code, Code::corrupt_bundle);
    EXPECT_NE(loaded.error().message.find("position_embeddings.weight"), std::string::npos) << loaded.error().message;
    EXPECT_NE(loaded.error().message.find("past its end"), std::string::npos) << loaded.error().message;
  };
  for (const int start : {3, 8, 1024}) refused(spec, {Family::roberta, "roberta.", start, 8});
  refused(spec, {Family::bert, "bert.", 0, 5});
  spec.max_tokens = 65536;
  refused(spec, naming);
}

}  // namespace
}  // namespace fathom
