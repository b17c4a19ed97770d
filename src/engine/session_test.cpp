// Refusals, the packed file, backbone-only plans.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <fstream>
#include <map>

#include "base/file.h"
#include "base/test_memory.h"
#include "engine/parts.h"
#include "engine/reference_forward.h"
#include "engine/test_models.h"

namespace fathom::engine {
namespace {

using testing::Case;
using testing::Inputs;
using testing::Loaded;

template <class Outcome>  // Status or Result
void expect_refused(const Outcome& status, Code code, const std::string& words) {
  ASSERT_FALSE(status.has_value()) << words;
  EXPECT_EQ(status.error().code, code) << status.error().message;
  EXPECT_NE(status.error().message.find(words), std::string::npos) << status.error().message;
}

TEST(SessionTest, RefusesBadBatches) {
  const Case which = testing::all_cases()[0];
  Loaded loaded(which, "", 1, 4);
  std::vector<Prediction> out(8);
  std::vector<std::int32_t> ids = {1, 2, 3, 4}, offsets = {0, 2, 4};
  const auto run = [&](std::size_t count) { return loaded.session->run({count, ids, offsets, nullptr, {}}, {}, out); };
  EXPECT_TRUE(run(2));
  EXPECT_TRUE(run(0));
  std::vector<std::int32_t> types = {0, 1, 0, which.spec.token_types};
  const auto typed = [&] { return loaded.session->run({2, ids, offsets, nullptr, types}, {}, out); };
  expect_refused(typed(), Code::invalid_argument, "id 3: expected a token type in 0..1, got 2");
  types[3] = 1;
  EXPECT_TRUE(typed());
  types.pop_back();
  expect_refused(typed(), Code::invalid_argument, "expected 4 token types, got 3");
  ids[3] = which.spec.vocab;
  expect_refused(run(2), Code::invalid_argument, "input 1: token 1");
  ids[3] = -1;
  expect_refused(run(2), Code::invalid_argument, "input 1: token 1");
  EXPECT_TRUE(loaded.session->logits().empty());  // nothing of a refused run is shown
  ids[3] = 4;
  offsets = {0, 2, 2};
  expect_refused(run(2), Code::invalid_argument, "input 1: offsets must rise");
  offsets = {0, 3, 2};
  expect_refused(run(2), Code::invalid_argument, "input 1: offsets must rise");
  offsets = {-1, 2, 3};
  expect_refused(run(2), Code::invalid_argument, "input 0");
  offsets = {0, 2, 9};
  expect_refused(run(2), Code::invalid_argument, "input 1: ends at id 9");
  offsets = {0, 2};
  expect_refused(run(2), Code::invalid_argument, "expected 3 offsets");
  offsets = {0, 1, 2, 3, 4, 4};
  expect_refused(run(5), Code::invalid_argument, "at most 4 inputs");
  ids.assign(static_cast<std::size_t>(which.spec.max_tokens + 1), 1);
  offsets = {0, static_cast<std::int32_t>(ids.size())};
  expect_refused(run(1), Code::invalid_argument, "input 0: expected at most 24 tokens");
  offsets = {0, 3};
  expect_refused(loaded.session->run({1, ids, offsets, nullptr, {}}, {}, {}), Code::invalid_argument, "room for 1");
}

TEST(SessionTest, NormalisedValuesStandForPixels) {
  const Case which = testing::all_cases()[2];
  Loaded loaded(which, "", 2, 4);
  const Inputs inputs = testing::random_inputs(which.spec, 4, 5);
  testing::must(loaded.session->run_backbone(inputs.batch()));
  const std::vector<float> expected = testing::copy(loaded.session->hidden());
  const std::size_t plane = inputs.picture_bytes / 3;
  std::vector<float> values(inputs.pixels.size());
  for (std::size_t i = 0; i < inputs.pixels.size(); ++i) {
    const std::size_t picture = i / inputs.picture_bytes, pixel = i % inputs.picture_bytes / 3, channel = i % 3;
    values[(3 * picture + channel) * plane + pixel] =
        (static_cast<float>(inputs.pixels[i]) / 255.0f - which.spec.pixel_mean[channel]) /
        which.spec.pixel_std[channel];
  }
  testing::must(loaded.session->run_backbone({4, {}, {}, nullptr, {}, values.data()}));
  EXPECT_EQ(testing::copy(loaded.session->hidden()), expected);
}

TEST(SessionTest, RefusesBadOptions) {
  const Case which = testing::all_cases()[0];
  Loaded loaded(which, "", 1, 4);
  std::vector<Prediction> out(1);
  const std::vector<std::int32_t> ids = {1, 2}, offsets = {0, 2};
  const Batch batch{1, ids, offsets, nullptr, {}};
  RunOptions options;
  options.mode = Mode::fixed_exit;
  for (const int exit : {0, -1, which.spec.layers + 1}) {
    options.exit = exit;
    expect_refused(loaded.session->run(batch, options, out), Code::invalid_argument, "exit: expected 1..4");
  }
  options = {};
  options.mode = Mode::masks;
  expect_refused(loaded.session->run(batch, options, out), Code::invalid_argument, "masks: expected 1");
  const std::vector<std::uint64_t> masks = {std::uint64_t{1} << which.spec.layers};
  options.masks = masks;
  expect_refused(loaded.session->run(batch, options, out), Code::invalid_argument, "input 0: its mask");
  options = {};
  options.score = 4;
  expect_refused(loaded.session->run(batch, options, out), Code::invalid_argument, "score: expected 0..3");
}

TEST(SessionTest, RefusesScoresWithoutParts) {
  Case which = testing::all_cases()[0];
  which.policy.score = policy::Score::confidence;
  const fs::path folder = testing::folder_for("no_trees");
  testing::must(write_random_bundle(folder, which.spec, 7, which.policy, 0));
  auto runtime = testing::must(Runtime::create({"", 1}));
  auto plan = testing::must(Plan::compile(testing::load_model(folder), *runtime));
  auto session = testing::must(Session::create(plan, *runtime, {1, 0}));
  std::vector<Prediction> out(1);
  const std::vector<std::int32_t> ids = {1, 2}, offsets = {0, 2};
  const Batch batch{1, ids, offsets, nullptr, {}};
  RunOptions options;
  EXPECT_TRUE(session.run(batch, options, out));
  options.score = static_cast<int>(policy::Score::policy);
  EXPECT_TRUE(session.run(batch, options, out));
  for (const auto score : {policy::Score::predictor, policy::Score::fused}) {
    options.score = static_cast<int>(score);
    expect_refused(session.run(batch, options, out), Code::invalid_argument, "no parts");
  }
  options = {};
  options.mode = Mode::trace;
  EXPECT_TRUE(session.run(batch, options, out));
  EXPECT_TRUE(session.trace_scores(policy::Score::fused).empty());
  EXPECT_FALSE(session.trace_scores(policy::Score::policy).empty());
}

TEST(SessionTest, RefusesBadLimitsAndRuntimes) {
  const Case which = testing::all_cases()[0];
  Loaded loaded(which, "ref", 1, 4);
  EXPECT_FALSE(Session::create(loaded.plan, *loaded.runtime, {0, 0}));
  EXPECT_FALSE(Session::create(loaded.plan, *loaded.runtime, {1, 25}));
  EXPECT_FALSE(Session::create(nullptr, *loaded.runtime, {1, 0}));
  EXPECT_EQ(Session::create(loaded.plan, *loaded.runtime, {std::size_t{1} << 60, 0}).error().code, Code::limit);
  EXPECT_FALSE(Plan::compile(nullptr, *loaded.runtime));
  EXPECT_FALSE(Runtime::create({"", -1}));
  EXPECT_FALSE(Runtime::create({"sse9", 1}));
  if (testing::tiers_here().size() > 1) {
    auto other = testing::must(Runtime::create({testing::tiers_here()[1], 1}));
    const auto refused = Session::create(loaded.plan, *other, {1, 0});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::invalid_argument);
  }
  auto picture = Loaded(testing::all_cases()[2], "", 1, 2);
  std::vector<Prediction> out(2);
  expect_refused(picture.session->run({1, {}, {}, nullptr, {}}, {}, out), Code::invalid_argument, "pixels");
}

TEST(SessionTest, LambdaAboveOneIsTheStaticModel) {
  for (const Case& which : testing::all_cases()) {
    Loaded loaded(which, "", 1);
    const Inputs inputs = testing::random_inputs(which.spec, 8, 31);
    RunOptions options;
    options.mode = Mode::full_depth;
    const auto expected = loaded.run(inputs.batch(), options);
    options.mode = Mode::adaptive;
    options.lambda = 1.5f;
    const auto got = loaded.run(inputs.batch(), options);
    for (std::size_t i = 0; i < inputs.count; ++i) {
      EXPECT_EQ(got[i].macs, expected[i].macs);
      EXPECT_EQ(got[i].confidence, expected[i].confidence);
      EXPECT_EQ(got[i].decision_macs, 0.0);
    }
  }
}

TEST(SessionTest, BackboneAloneGivesTheSameHiddenStates) {
  for (const Case& which : testing::all_cases()) {
    Loaded loaded(which, "", 1);
    const Inputs inputs = testing::random_inputs(which.spec, 8, 32);
    RunOptions options;
    options.mode = Mode::full_depth;
    loaded.run(inputs.batch(), options);
    const std::vector<float> expected = testing::copy(loaded.session->hidden());
    ModelSpec spec = which.spec;
    spec.label_names.clear();
    auto tensors = testing::must(SafeTensors::open(loaded.model->bundle()->folder() / "model.safetensors"));
    auto plan = testing::must(Plan::compile(testing::must(Model::backbone_only(spec, tensors)), *loaded.runtime));
    auto session = testing::must(Session::create(plan, *loaded.runtime, {8, 0}));
    testing::must(session.run_backbone(inputs.batch()));
    EXPECT_EQ(testing::copy(session.hidden()), expected) << which.name;
    std::vector<Prediction> out(8);
    expect_refused(session.run(inputs.batch(), options, out), Code::unsupported, "backbone alone");
  }
}

struct PackedTest : ::testing::Test {
  void SetUp() override {
    folder = testing::folder_for("packed");
    fs::remove_all(folder);
    testing::must(write_random_bundle(folder, which.spec, 7, which.policy));
    runtime = testing::must(Runtime::create({"", 1}));
    file = folder / (std::string("packed.fp32.") + tier_name(runtime->kernels().tier) + ".bin");
  }
  std::shared_ptr<const Plan> compile() { return testing::must(Plan::compile(testing::load_model(folder), *runtime)); }
  std::vector<float> logits() {
    auto session = testing::must(Session::create(compile(), *runtime, {4, 0}));
    const Inputs inputs = testing::random_inputs(which.spec, 4, 33);
    std::vector<Prediction> out(4);
    RunOptions options;
    options.mode = Mode::full_depth;
    testing::must(session.run(inputs.batch(), options, out));
    return testing::copy(session.logits());
  }
  Status try_run() {
    FATHOM_TRY(const auto plan, Plan::compile(testing::load_model(folder), *runtime));
    FATHOM_TRY(auto session, Session::create(plan, *runtime, {4, 0}));
    std::vector<Prediction> out(4);
    RunOptions options;
    options.mode = Mode::full_depth;
    return session.run(testing::random_inputs(which.spec, 4, 33).batch(), options, out);
  }
  Case which = testing::all_cases()[0];
  fs::path folder, file;
  std::unique_ptr<Runtime> runtime;
};

TEST_F(PackedTest, WrittenOnceThenMapped) {
  const std::vector<float> built = logits();
  ASSERT_TRUE(fs::exists(file));
  const auto written = fs::last_write_time(file);
  EXPECT_TRUE(compile()->parts().weights.mapped());
  EXPECT_EQ(logits(), built);
  EXPECT_EQ(fs::last_write_time(file), written);
  for (const auto& entry : fs::directory_iterator(folder))
    EXPECT_EQ(entry.path().string().find(".tmp"), std::string::npos) << entry.path();
}

TEST_F(PackedTest, DamageIsRebuilt) {
  const std::vector<float> built = logits();
  const std::string good = testing::must(read_file(file));
  const auto expect_rebuilt = [&](std::string bad, const std::string& what) {
    testing::must(write_file_atomic(file, bad));
    EXPECT_EQ(logits(), built) << what;
    EXPECT_EQ(testing::must(read_file(file)) == good, true) << what;
  };
  expect_rebuilt("", "empty");
  expect_rebuilt(good.substr(0, 100), "cut in the header");
  expect_rebuilt(good.substr(0, good.size() - 64), "cut at the end");
  expect_rebuilt(good + std::string(64, '\0'), "too long");
  const auto flipped = [&](std::size_t at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x10);
    return bad;
  };
  for (const std::size_t at :
       {std::size_t{3}, std::size_t{8}, std::size_t{20}, std::size_t{60}, std::size_t{100}, std::size_t{108}})
    expect_rebuilt(flipped(at), "bit flipped at " + std::to_string(at));
}

// A start reads the header alone; a damaged entry is found by whoever is the first to use it, and the file goes.
TEST_F(PackedTest, VerifyFindsADamagedPayload) {
  logits();
  const std::string good = testing::must(read_file(file));
  const auto checks = testing::must(verify_packed(*testing::load_model(folder)));
  ASSERT_EQ(checks.size(), 1u);
  EXPECT_TRUE(checks[0].used);
  EXPECT_EQ(checks[0].name, file.filename().string());
  const std::vector<float> built = logits();
  for (const std::size_t at : {std::size_t{4096}, good.size() / 2, good.size() - 70}) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x10);
    for (const Weights how : {Weights::map, Weights::copy}) {
      testing::must(write_file_atomic(file, bad));
      expect_refused(verify_packed(*testing::load_model(folder)), Code::corrupt_bundle, file.filename().string());
      runtime = testing::must(Runtime::create({.threads = 1, .weights = how}));
      expect_refused(try_run(), Code::corrupt_bundle, file.filename().string());
      EXPECT_FALSE(fs::exists(file));
      EXPECT_EQ(logits(), built) << "packed again";
    }
  }
  testing::must(write_file_atomic(file, good.substr(0, 4096) + std::string(good.size() - 4096, '\0')));
  expect_refused(try_run(), Code::corrupt_bundle, file.filename().string());
  testing::must(write_file_atomic(file, good.substr(0, 4096) + std::string(good.size() - 4096, '\0')));
  runtime = testing::must(Runtime::create({.threads = 1, .trust_packed = true}));
  EXPECT_TRUE(try_run()) << "told to trust";
  fs::remove(file);
  runtime = testing::must(Runtime::create({.threads = 1}));
  EXPECT_EQ(logits(), built);
  testing::must(write_file_atomic(file, good.substr(0, good.size() - 64)));
  EXPECT_FALSE(testing::must(verify_packed(*testing::load_model(folder)))[0].used);
  // Right by its own hash, but of other weights: the header is copied over a payload that was packed elsewhere.
  testing::must(write_random_bundle(folder, which.spec, 8, which.policy));
  logits();
  std::string other = testing::must(read_file(file));
  testing::must(write_random_bundle(folder, which.spec, 7, which.policy));
  other.replace(0, 112, good, 0, 112);  // the other file's payload and its hashes, this bundle's identity
  testing::must(write_file_atomic(file, other));
  expect_refused(verify_packed(*testing::load_model(folder)), Code::corrupt_bundle, "not those of the model");
}

// Whoever packs vouches for the weights: a bit that rotted is no other answer.
TEST_F(PackedTest, WeightsThatAreNotTheBundlesAreNotPacked) {
  const std::vector<float> built = logits();
  const fs::path weights = folder / "model.safetensors";
  const std::string good = testing::must(read_file(weights));
  std::string bad = good;
  bad[bad.size() - 3] = static_cast<char>(bad[bad.size() - 3] ^ 1);
  testing::must(write_file_atomic(weights, bad));
  EXPECT_EQ(logits(), built) << "what was packed before is whole";
  fs::remove(file);
  expect_refused(try_run(), Code::corrupt_bundle, "model.safetensors");
  EXPECT_FALSE(fs::exists(file));
}

// cp over a file, rsync --inplace: with `copy` nothing of it is used any more.
TEST_F(PackedTest, CopiedWeightsOutliveTheirFiles) {
  const std::vector<float> built = logits();
  runtime = testing::must(Runtime::create({.threads = 1, .weights = Weights::copy}));
  const auto plan = compile();
  EXPECT_FALSE(plan->parts().weights.mapped());
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() != ".json") fs::resize_file(entry.path(), 0);
  auto session = testing::must(Session::create(plan, *runtime, {4, 0}));
  std::vector<Prediction> out(4);
  RunOptions options;
  options.mode = Mode::full_depth;
  testing::must(session.run(testing::random_inputs(which.spec, 4, 33).batch(), options, out));
  EXPECT_EQ(testing::copy(session.logits()), built);
}

TEST_F(PackedTest, OtherTensorsOrTiersAreNotUsed) {
  logits();
  const std::string stale = testing::must(read_file(file));
  testing::must(write_random_bundle(folder, which.spec, 8, which.policy));  // other weights, same shapes
  const std::vector<float> fresh = logits();
  testing::must(write_file_atomic(file, stale));
  EXPECT_EQ(logits(), fresh);
  const auto tiers = testing::tiers_here();
  if (tiers.size() < 2) GTEST_SKIP() << "one tier only";
  const std::vector<float> before = logits();
  auto ref = testing::must(Runtime::create({"ref", 1}));
  testing::must(Plan::compile(testing::load_model(folder), *ref));
  ASSERT_TRUE(fs::exists(folder / "packed.fp32.ref.bin"));
  testing::must(write_file_atomic(file, testing::must(read_file(folder / "packed.fp32.ref.bin"))));
  EXPECT_EQ(logits(), before);
}

TEST_F(PackedTest, AFolderThatCannotBeWrittenIsFine) {
  const std::vector<float> built = logits();
  fs::remove(file);
  fs::create_directory(file);  // refuses the rename, also for root
  EXPECT_EQ(logits(), built);
  EXPECT_FALSE(compile()->parts().weights.mapped());
}

// The random bundle of `which`, its word table stored as `dtype`: rows of float32 values that `dtype` holds nearly.
void write_with_words_as(const testing::Case& which, const std::string& dtype) {
  const fs::path folder = testing::folder_for(which.name + "_fp32");
  testing::must(write_random_bundle(folder, which.spec, 7, which.policy));
  const auto bundle = testing::must(Bundle::open(folder));
  const auto& weights = *bundle->weights();
  constexpr const char* kWords = "embeddings.word_embeddings.weight";
  const TensorView words = *weights.find(kWords);
  std::string stored;
  std::vector<float> scales;
  for (std::int64_t i = 0; i < words.elements(); ++i) {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(words.data[i]);
    const std::uint16_t half = static_cast<std::uint16_t>(bits >> 16);
    if (dtype == "F32") stored.append(reinterpret_cast<const char*>(&bits), 4);
    if (dtype == "BF16") stored.append(reinterpret_cast<const char*>(&half), 2);
    if (dtype == "I8") stored.push_back(static_cast<char>(std::lround(words.data[i] * 100)));
  }
  if (dtype == "I8") scales.assign(static_cast<std::size_t>(words.shape[0]), 0.01f);
  std::vector<StoredTensor> list = {{kWords, dtype, words.shape, std::as_bytes(std::span(stored))}};
  if (!scales.empty())
    list.insert(list.begin(),
                {std::string(kWords) + ".scale", "F32", {words.shape[0]}, std::as_bytes(std::span(scales))});
  for (const auto& [name, view] : weights.all())
    if (name != kWords)
      list.insert(list.begin(), {name, "F32", view.shape,
                                 std::as_bytes(std::span(view.data, static_cast<std::size_t>(view.elements())))});
  std::map<std::string, std::string> files = {{"model.safetensors", safetensors_bytes(list)}};
  for (const auto& [name, entry] : bundle->fathom()["files"].items())
    if (!files.contains(name)) files[name] = testing::must(read_file(folder / name));
  testing::must(write_bundle(folder, files, bundle->fathom()));
}

// Random rows all over a table of 1.5 MB and more would bring most of it into memory, 64 KB at each fault.
TEST(Session, RowsOfALargeWordTableAreReadNotMapped) {
  for (const auto& [dtype, vocab] :
       {std::pair("F32", 50'000), std::pair("BF16", 80'000), std::pair("I8", 150'000), std::pair("I8", 50)}) {
    testing::Case which{
        std::string("words_") + dtype + std::to_string(vocab), testing::text_spec(NormOrder::post, 2, 32, 2, 64), {}};
    which.spec.vocab = vocab;
    which.policy = random_policy(which.spec, 5);
    write_with_words_as(which, dtype);
    testing::Loaded loaded(which, "", 1);
    const testing::Inputs inputs = testing::random_inputs(which.spec, 32, 3);
    ASSERT_GT(inputs.ids.size(), 200u);
    RunOptions options;
    options.mode = Mode::full_depth;
    const fs::path file = loaded.model->bundle()->folder() / "model.safetensors";
    const std::size_t before = fathom::testing::mapped_bytes(file);
    loaded.run(inputs.batch(), options);
    EXPECT_LE(fathom::testing::mapped_bytes(file), before + 64 * 1024) << dtype;

    if (vocab > 50) {  // a row that rots on disk is an error of the run that reads it
      std::string bytes = testing::must(read_file(file));
      const StoredTable table = loaded.model->table_of("embeddings.word_embeddings.weight");
      const std::size_t row = static_cast<std::size_t>(inputs.ids.back());
      bytes[table.offset_of(row) + 1] = static_cast<char>(bytes[table.offset_of(row) + 1] ^ 4);
      const std::string whole = testing::must(read_file(file));
      testing::must(write_file_atomic(file, bytes));
      testing::Loaded again(which, "", 1);
      std::vector<Prediction> out(inputs.count);
      const Status status = again.session->run(inputs.batch(), options, out);
      expect_refused(status, Code::corrupt_bundle, "row " + std::to_string(row) + " of the word table");
      testing::must(write_file_atomic(file, whole));
    }

    const reference::Forward forward{*loaded.model, loaded.plan->policy()};  // reads the table, so only now
    for (std::size_t i = 0; i < inputs.count; ++i) {
      const auto expected = forward.run(forward.text(inputs.texts[i], inputs.kinds[i])).logits.back();
      for (std::size_t c = 0; c < expected.size(); ++c)
        EXPECT_NEAR(loaded.session->logits()[i * expected.size() + c], expected[c], 1e-4) << dtype;
    }
  }
}

struct Cleanup : ::testing::Environment {
  void TearDown() override {
    std::error_code ignored;
    fs::remove_all(testing::folder_for("x").parent_path(), ignored);
  }
};
const auto* const cleanup = ::testing::AddGlobalTestEnvironment(new Cleanup);

}  // namespace
}  // namespace fathom::engine
