// Every family that `fathom import` reads, against the logits of the library it comes from (tests/parity/checkpoints).
#include "api/checkpoint.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "api/classifier.h"
#include "base/file.h"
#include "base/sha256.h"
#include "bundle/bundle.h"
#include "engine/weights_pack.h"

namespace fathom::api {
namespace {

constexpr const char* kFamilies[] = {"bert", "bert_sharded", "bert_bf16",    "distilbert", "roberta",
                                     "vit",  "deit",         "deit_teacher", "timm_vit",   "timm_deit_distilled"};

class Checkpoints : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* root = std::getenv("FATHOM_SOURCE_DIR");
    ASSERT_NE(root, nullptr) << "run through ctest, or set FATHOM_SOURCE_DIR";
    folder_ = fs::path(root) / "tests/parity/checkpoints";
    work_ = fs::temp_directory_path() / ("fathom_checkpoints_" + std::to_string(::getpid()));
    fs::create_directories(work_);
    auto runtime = engine::Runtime::create({"", 1});
    ASSERT_TRUE(runtime.has_value());
    runtime_ = std::move(*runtime);
  }
  void TearDown() override { fs::remove_all(work_); }

  // A copy that may be spoilt.
  fs::path copy(const std::string& family) {
    const fs::path to = work_ / ("copy_" + family);
    fs::remove_all(to);
    fs::copy(folder_ / family, to);
    return to;
  }
  // Replaces `from` in the copy's config.json and says why that is refused.
  std::string refusal(const std::string& family, const std::string& from, const std::string& to) {
    const fs::path spoilt = copy(family), file = spoilt / "config.json";
    std::string text = *read_file(file);
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    EXPECT_TRUE(write_file_atomic(file, text).has_value());
    const auto checked = check_checkpoint(spoilt, *runtime_);
    EXPECT_FALSE(checked.has_value()) << to;
    return checked ? "" : checked.error().message;
  }

  fs::path folder_, work_;
  std::unique_ptr<engine::Runtime> runtime_;
};

TEST_F(Checkpoints, EveryFamilyGivesItsLibrarysLogits) {
  for (const char* family : kFamilies) {
    const auto checked = check_checkpoint(folder_ / family, *runtime_);
    ASSERT_TRUE(checked.has_value()) << family << ": " << checked.error().message;
    ASSERT_TRUE(checked->parity.has_value()) << family << ": its reference.json is absent";
    EXPECT_GE(checked->parity->inputs, 3u) << family;
    EXPECT_LE(checked->parity->largest, 1e-4) << family;
    EXPECT_EQ(checked->parity->other_labels, 0u) << family;
    RecordProperty(family, std::to_string(checked->parity->largest));
  }
}

TEST_F(Checkpoints, AnImportedBundleKeepsTheFileAndAnswersTheSame) {
  for (const char* family : kFamilies) {
    const fs::path bundle = work_ / family;
    const auto imported = import_checkpoint(folder_ / family, bundle, *runtime_);
    ASSERT_TRUE(imported.has_value()) << family << ": " << imported.error().message;
    for (const std::string& file : imported->files)
      EXPECT_EQ(sha256_hex(*read_file(bundle / file)), sha256_hex(*read_file(folder_ / family / file)))
          << family << " " << file;
    EXPECT_TRUE(fs::exists(bundle / engine::packed_name(Precision::fp32, runtime_->kernels())))
        << family << ": the first run would pack its weights";
    const auto opened = Bundle::open(bundle);
    ASSERT_TRUE(opened.has_value()) << family << ": " << opened.error().message;
    EXPECT_TRUE((*opened)->verify().has_value()) << family;
    const auto model = Model::load(*opened);
    ASSERT_TRUE(model.has_value()) << family << ": " << model.error().message;
    EXPECT_EQ((*model)->spec(), imported->checkpoint.spec);
    for (int run = 0; run < 2; ++run) {  // packed from the checkpoint, then mapped from the packed file
      const auto plan = engine::Plan::compile(*model, *runtime_);
      ASSERT_TRUE(plan.has_value()) << family;
      const auto parity = compare_with_reference(*plan, *runtime_, folder_ / family / "reference.json");
      ASSERT_TRUE(parity.has_value()) << family;
      EXPECT_EQ(parity->largest, imported->parity->largest) << family;
    }
  }
}

TEST_F(Checkpoints, AModelWithoutExitsRunsAtFullDepthAndRefusesOthers) {
  ASSERT_TRUE(import_checkpoint(folder_ / "bert", work_ / "b", *runtime_).has_value());
  const auto opened = open_bundle(work_ / "b", {"", 1});
  ASSERT_TRUE(opened.has_value()) << opened.error().message;
  auto classifier = Classifier::create(*opened, 4);
  ASSERT_TRUE(classifier.has_value());
  const std::vector<std::string> texts = {"a b c", "dog"};
  const auto answers = classifier->texts(texts, {});
  ASSERT_TRUE(answers.has_value()) << answers.error().message;
  EXPECT_EQ((*answers)[0].prediction.depth, 3);
  EXPECT_EQ((*answers)[0].prediction.macs, (*answers)[0].full_macs);
  engine::RunOptions options;
  options.lambda = 0.5f;
  const auto refused = classifier->texts(texts, options);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::unsupported);
}

TEST_F(Checkpoints, WhatIsNotComputedIsRefusedByName) {
  EXPECT_NE(refusal("bert", "\"hidden_act\": \"gelu\"", "\"hidden_act\": \"gelu_new\"").find("gelu_new"),
            std::string::npos);
  EXPECT_NE(refusal("bert", "\"model_type\": \"bert\"", "\"model_type\": \"xlnet\"").find("xlnet"), std::string::npos);
  EXPECT_NE(refusal("bert", "\"is_decoder\": false", "\"is_decoder\": true").find("is_decoder"), std::string::npos);
  EXPECT_NE(refusal("vit", "\"qkv_bias\": true", "\"qkv_bias\": false").find("qkv_bias"), std::string::npos);
  EXPECT_NE(refusal("timm_vit", "vit_tiny", "swin_tiny").find("swin_tiny"), std::string::npos);
  EXPECT_NE(refusal("bert", "\"num_hidden_layers\": 3", "\"num_hidden_layers\": 4").find("encoder.layer.3"),
            std::string::npos);
  EXPECT_NE(refusal("vit", "\"image_size\": 16", "\"image_size\": 24").find("24x24"), std::string::npos);
  EXPECT_NE(refusal("bert", "\"num_attention_heads\": 2", "\"num_attention_heads\": 0").find("heads"),
            std::string::npos);
  EXPECT_NE(refusal("bert", "\"hidden_size\": 32", "\"hidden_size\": -1").find("hidden_size"), std::string::npos);
}

TEST_F(Checkpoints, LabelsAreTakenAsTransformersTakesThem) {
  const auto labels = [&](const std::string& from, const std::string& to) {
    const fs::path folder = copy("bert");
    std::string text = *read_file(folder / "config.json");
    text.replace(text.find(from), from.size(), to);
    EXPECT_TRUE(write_file_atomic(folder / "config.json", text).has_value());
    const auto checked = check_checkpoint(folder, *runtime_);
    EXPECT_TRUE(checked.has_value()) << (checked ? "" : checked.error().message);
    return checked ? checked->checkpoint.spec.label_names : std::vector<std::string>();
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(labels("\"id2label\"", "\"num_labels\": 3, \"old\""), (Names{"LABEL_0", "LABEL_1", "LABEL_2"}));
  EXPECT_EQ(labels("\"bad\",", "7,"), (Names{"7", "so-so", "good"}));
  EXPECT_EQ(labels("\"bad\",", "\"good\","), (Names{"good", "so-so", "good"}));
  EXPECT_EQ(labels("\"hidden_act\": \"gelu\"", "\"hidden_act\": \"gelu_python\"").size(), 3u);
  EXPECT_NE(refusal("bert", "\"id2label\"", "\"old\"").find("means 2, but the classifier has 3"), std::string::npos);
}

TEST_F(Checkpoints, WhatMisleadIsSaidPlainly) {
  EXPECT_NE(refusal("bert", "BertForSequenceClassification", "BertForTokenClassification").find("labels every token"),
            std::string::npos);
  EXPECT_NE(refusal("bert", "BertForSequenceClassification", "BertForQuestionAnswering").find("architectures"),
            std::string::npos);
  EXPECT_NE(refusal("bert", "\"model_type\": \"bert\",", "").find("'model_type' is missing"), std::string::npos);
  EXPECT_NE(refusal("bert", "\"num_hidden_layers\"", "\"pruned_heads\": {\"0\": [1]}, \"num_hidden_layers\"")
                .find("pruned_heads"),
            std::string::npos);
  const fs::path adapter = copy("bert");
  ASSERT_TRUE(write_file_atomic(adapter / "adapter_config.json", R"({"base_model_name_or_path": "some/base"})"));
  const auto merged = check_checkpoint(adapter, *runtime_);
  ASSERT_FALSE(merged.has_value());
  EXPECT_NE(merged.error().message.find("adapter"), std::string::npos);
  EXPECT_NE(merged.error().message.find("some/base"), std::string::npos);
  const fs::path wrapped = copy("bert");
  std::string weights = *read_file(wrapped / "model.safetensors");
  const std::string name = "\"bert.embeddings.word_embeddings.weight\"";
  const std::string same = "\"my.e.embeddings.word_embeddings.weight\"";  // as long as the name was
  ASSERT_EQ(name.size(), same.size());
  weights.replace(weights.find(name), name.size(), same);
  ASSERT_TRUE(write_file_atomic(wrapped / "model.safetensors", weights));
  const auto prefixed = check_checkpoint(wrapped, *runtime_);
  ASSERT_FALSE(prefixed.has_value());
  EXPECT_NE(prefixed.error().message.find("begins with 'my.e.'"), std::string::npos) << prefixed.error().message;
}

TEST_F(Checkpoints, KeysThatNobodyReadsAreListedAndTheTokenizersLengthIsObeyed) {
  const fs::path folder = copy("bert");
  std::string text = *read_file(folder / "config.json");
  text.insert(text.find('{') + 1, "\"scale_logits\": 2, \"num_beams\": 3,");
  ASSERT_TRUE(write_file_atomic(folder / "config.json", text));
  ASSERT_TRUE(write_file_atomic(folder / "tokenizer_config.json",
                                R"({"tokenizer_class": "BertTokenizer", "model_max_length": 7, "loud": true})"));
  fs::remove(folder / "reference.json");
  const auto checked = check_checkpoint(folder, *runtime_);
  ASSERT_TRUE(checked.has_value()) << checked.error().message;
  EXPECT_EQ(checked->checkpoint.unread,
            (std::vector<std::string>{"config.json: 'scale_logits'", "tokenizer_config.json: 'loud'"}));
  EXPECT_EQ(checked->checkpoint.spec.max_tokens, 7);
}

// What the engine does with it is compared with a plain forward in double (engine/test_models.h: text_window).
TEST_F(Checkpoints, RobertaCountsNoPositionForPadding) {
  const auto checked = check_checkpoint(folder_ / "roberta", *runtime_);
  ASSERT_TRUE(checked.has_value());
  const ModelSpec& spec = checked->checkpoint.spec;
  EXPECT_EQ(spec.padding_id, 1);
  EXPECT_EQ(spec.position_rows(), spec.max_tokens + 1);
  EXPECT_EQ(checked->checkpoint.naming.first_position, 1);
}

TEST_F(Checkpoints, BrokenFoldersAreRefused) {
  const auto why = [&](const fs::path& folder) {
    const auto checked = check_checkpoint(folder, *runtime_);
    EXPECT_FALSE(checked.has_value());
    return checked ? "" : checked.error().message + " | " + checked.error().hint;
  };
  EXPECT_NE(why(work_ / "nowhere").find("no folder"), std::string::npos);
  fs::path spoilt = copy("bert");
  fs::remove(spoilt / "tokenizer.json");
  EXPECT_NE(why(spoilt).find("tokenizer"), std::string::npos);
  spoilt = copy("bert");
  fs::remove(spoilt / "model.safetensors");
  EXPECT_NE(why(spoilt).find("model.safetensors"), std::string::npos);
  ASSERT_TRUE(write_file_atomic(spoilt / "pytorch_model.bin", "pickle").has_value());
  EXPECT_NE(why(spoilt).find("save_pretrained"), std::string::npos);
  spoilt = copy("bert");
  const std::string weights = *read_file(spoilt / "model.safetensors");
  ASSERT_TRUE(write_file_atomic(spoilt / "model.safetensors", weights.substr(0, weights.size() / 2)).has_value());
  EXPECT_NE(why(spoilt).find("model.safetensors"), std::string::npos);
  spoilt = copy("bert");
  std::string reference = *read_file(spoilt / "reference.json");
  const std::size_t logits = reference.find("logits\": [[") + 11;
  reference.replace(logits, 1, "7");
  ASSERT_TRUE(write_file_atomic(spoilt / "reference.json", reference).has_value());
  EXPECT_NE(why(spoilt).find("differ"), std::string::npos);
  EXPECT_FALSE(import_checkpoint(spoilt, work_ / "none", *runtime_).has_value());
  EXPECT_FALSE(fs::exists(work_ / "none"));  // nothing is written before everything was checked
}

}  // namespace
}  // namespace fathom::api
