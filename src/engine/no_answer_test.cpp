// Logits that are not finite: no answer for that input, in every mode and by every way in, and none of its neighbours'
// changes.
#include <gtest/gtest.h>

#include <fstream>
#include <limits>
#include <map>

#include "base/file.h"
#include "engine/stream.h"
#include "engine/test_requests.h"

namespace fathom::engine {
namespace {

using testing::Case;
using testing::Inputs;
using testing::Loaded;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInfinity = std::numeric_limits<float>::infinity();
constexpr std::size_t kBad = 2;  // which input
constexpr std::int32_t kWord = 49;

// One number of a tensor of the bundle's file, overwritten where it lies; packed weights are made again.
void put(const fs::path& folder, const char* file, const std::string& tensor, std::size_t element, float value) {
  Json fathom = testing::must(Bundle::open(folder))->fathom();
  std::size_t at = 0;
  {
    const auto tensors = testing::must(SafeTensors::open(folder / file));
    const TensorView* view = tensors->find(tensor);
    ASSERT_NE(view, nullptr) << tensor;
    at = static_cast<std::size_t>(reinterpret_cast<const std::byte*>(view->data + element) -
                                  tensors->file_bytes().data());
  }
  std::fstream out(folder / file, std::ios::in | std::ios::out | std::ios::binary);
  out.seekp(static_cast<std::streamoff>(at));
  out.write(reinterpret_cast<const char*>(&value), sizeof value);
  out.close();
  std::map<std::string, fs::path> kept;  // the same files, with the checksums they have now
  for (const auto& [name, unused] : fathom["files"].items()) kept[name] = folder / name;
  fathom.erase("files");
  testing::must(write_bundle(folder, {}, fathom, kept));
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().filename().string().starts_with("packed")) fs::remove(entry.path());
}

// Inputs of which kBad alone holds kWord.
Inputs inputs_with_bad(const ModelSpec& spec) {
  Inputs inputs = testing::random_inputs(spec, 6, 3);
  for (std::int32_t& id : inputs.ids)
    if (id == kWord) id = 1;
  inputs.ids[static_cast<std::size_t>(inputs.offsets[kBad])] = kWord;
  for (std::size_t i = 0; i < inputs.count; ++i)
    inputs.texts[i].assign(inputs.ids.begin() + inputs.offsets[i], inputs.ids.begin() + inputs.offsets[i + 1]);
  return inputs;
}

void expect_only_bad(const Status& status, std::span<const Prediction> got, std::span<const Prediction> right,
                     const std::string& what) {
  ASSERT_FALSE(status) << what;
  EXPECT_EQ(status.error().code, Code::corrupt_bundle) << what;
  EXPECT_NE(status.error().message.find("input 2:"), std::string::npos) << what << ": " << status.error().message;
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (i != kBad) {
      EXPECT_TRUE(testing::same(got[i], right[i])) << what << " input " << i;
      continue;
    }
    EXPECT_GT(got[i].no_answer, 0) << what;
    EXPECT_EQ(got[i].label, -1) << what;
    EXPECT_EQ(got[i].confidence, 0) << what;
  }
}

TEST(NoAnswer, OneInputOfABatchInEveryMode) {
  for (Case which : testing::all_cases()) {
    if (which.spec.modality != Modality::text) continue;
    for (const Precision precision : {Precision::fp32, Precision::int8}) {
      which.precision = precision;
      const std::string name = which.name;
      which.name = "strange_" + name;
      Loaded healthy(which, "", 2);
      const Inputs inputs = inputs_with_bad(which.spec);
      const auto masks = testing::random_masks(which.spec, inputs.count);
      std::vector<std::vector<Prediction>> right;
      const auto requests = testing::all_requests(which.spec, masks);
      for (const auto& request : requests) right.push_back(healthy.run(inputs.batch(), request.options));
      const auto folder = testing::folder_for(which.name + "_" + precision_name(precision));
      const std::size_t width =
          static_cast<std::size_t>(which.spec.word_width > 0 ? which.spec.word_width : which.spec.hidden);
      put(folder, "model.safetensors", "embeddings.word_embeddings.weight", kWord * width, kNan);
      if (::testing::Test::HasFatalFailure()) return;
      Loaded strange(which, "", 2);
      for (std::size_t r = 0; r < requests.size(); ++r) {
        std::vector<Prediction> got(inputs.count);
        const Status status = strange.session->run(inputs.batch(), requests[r].options, got);
        expect_only_bad(status, got, right[r], name + " " + requests[r].name);
      }
      std::vector<float> states(static_cast<std::size_t>(which.spec.layers - 1) * inputs.count * 2 *
                                static_cast<std::size_t>(which.spec.hidden));
      std::vector<float> logits(inputs.count * 3);
      const Status status = strange.session->run_states(inputs.batch(), states, logits);
      ASSERT_FALSE(status);
      EXPECT_NE(status.error().message.find("input 2:"), std::string::npos) << status.error().message;
      which.name = name;
    }
  }
}

TEST(NoAnswer, OneInputOfAStream) {
  Case which = testing::all_cases()[0];
  which.name = "strange_stream";
  { const Loaded made(which, "", 1); }
  put(testing::folder_for("strange_stream_fp32"), "model.safetensors", "embeddings.word_embeddings.weight",
      kWord * static_cast<std::size_t>(which.spec.hidden), kInfinity);
  const Loaded strange(which, "", 2);
  const Inputs inputs = inputs_with_bad(which.spec);
  auto stream = testing::must(Stream::create(strange.plan, *strange.runtime, {4, 0}));
  std::vector<Finished> out(8);
  std::vector<int> answered(inputs.count, -1);
  std::vector<std::int32_t> ends;
  for (std::size_t next = 0; next < inputs.count || stream.held() > 0;) {
    for (; next < inputs.count && stream.room() > 0; ++next) ASSERT_TRUE(stream.submit(inputs.one(next, ends)));
    const std::size_t done = stream.drain(out);
    for (std::size_t i = 0; i < done; ++i)
      answered[out[i].ticket] = out[i].prediction.no_answer == 0 && out[i].prediction.label >= 0 ? 1 : 0;
  }
  EXPECT_EQ(answered, (std::vector<int>{1, 1, 0, 1, 1, 1}));
}

TEST(NoAnswer, APictureOfNumbersThatAreNone) {
  for (const Case& which : testing::all_cases()) {
    if (which.spec.modality != Modality::image) continue;
    Loaded loaded(which, "", 1);
    const std::size_t numbers = static_cast<std::size_t>(3 * which.spec.image_height * which.spec.image_width);
    std::vector<float> values(4 * numbers, 0.25f);
    std::vector<Prediction> right(4), got(4);
    Batch batch;
    batch.count = 4;
    batch.values = values.data();
    testing::must(loaded.session->run(batch, {}, right));
    values[kBad * numbers + 7] = kNan;
    expect_only_bad(loaded.session->run(batch, {}, got), got, right, "picture");
  }
}

// A head that is damaged costs the inputs that pass it their answers; those of a mode that never asks it keep them.
TEST(NoAnswer, ADamagedExit) {
  Case which = testing::all_cases()[0];
  which.name = "strange_exit";
  { const Loaded made(which, "", 1); }
  const auto tensors = decision_tensors(which.spec);
  const auto head = std::find_if(tensors.begin(), tensors.end(), [](const TensorSpec& tensor) {
    return tensor.name.starts_with("exits.1.") && tensor.shape.size() == 2;
  });
  ASSERT_NE(head, tensors.end());
  put(testing::folder_for("strange_exit_fp32"), "fathom.safetensors", head->name, 0, kNan);
  Loaded strange(which, "", 1);
  const Inputs inputs = testing::random_inputs(which.spec, 3, 5);
  std::vector<Prediction> got(inputs.count);
  RunOptions adaptive;
  adaptive.score = static_cast<int>(policy::Score::confidence);
  adaptive.lambda = 1.0f;
  EXPECT_FALSE(strange.session->run(inputs.batch(), adaptive, got));
  for (const Prediction& one : got) EXPECT_EQ(one.no_answer, 1);
  RunOptions full;
  full.mode = Mode::full_depth;
  EXPECT_TRUE(strange.session->run(inputs.batch(), full, got));
  for (const Prediction& one : got) EXPECT_GE(one.label, 0);
}

}  // namespace
}  // namespace fathom::engine
