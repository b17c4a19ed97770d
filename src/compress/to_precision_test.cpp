#include "compress/to_precision.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "compress/test_bundle.h"
#include "kernels/bf16.h"

namespace fathom::compress {
namespace {

class ToPrecision : public TestBundle {};

TEST_P(ToPrecision, MapsAreRoundedAndTheRestStays) {
  for (const Precision precision : {Precision::bf16, Precision::int8}) {
    ASSERT_TRUE(to_precision(work_ / "before", work_ / "after", precision));
    const auto before = model("before"), after = model("after");
    EXPECT_EQ(after->precision(), precision);
    EXPECT_EQ(fs::exists(work_ / "after" / "weights.int8.safetensors"), precision == Precision::int8);
    EXPECT_EQ(fs::exists(work_ / "after" / "model.safetensors"), precision == Precision::bf16);
    for (const char* gone : {"certificate", "operating_points", "budget_table"})
      EXPECT_FALSE(after->bundle()->fathom().contains(gone)) << gone;
    for (const auto& wanted : {backbone_tensors(before->spec()), task_head_tensors(before->spec())})
      for (const TensorSpec& tensor : wanted) {
        const float *a = before->weight(tensor.name), *b = after->weight(tensor.name);
        const std::size_t count = static_cast<std::size_t>(elements_of(tensor.shape)),
                          columns = count / static_cast<std::size_t>(tensor.shape[0]);
        const bool map = tensor.name.starts_with("encoder.layer.") && tensor.shape.size() > 1,
                   words = tensor.name == "embeddings.word_embeddings.weight";
        for (std::size_t i = 0; i < count; ++i) {
          if ((map || words) && precision == Precision::int8) {
            const float* row = a + i / columns * columns;
            float top = 0;
            for (std::size_t k = 0; k < columns; ++k) top = std::max(top, std::fabs(row[k]));
            ASSERT_LE(std::fabs(a[i] - b[i]), 0.5001f * top / 127) << tensor.name << " " << i;
          } else if (map) {
            ASSERT_EQ(b[i], kernels::from_bf16(kernels::to_bf16(a[i]))) << tensor.name << " " << i;
          } else {
            ASSERT_LE(std::fabs(a[i] - b[i]), std::fabs(a[i]) / 256) << tensor.name << " " << i;
          }
        }
        if (tensor.shape.size() == 1 && !tensor.name.starts_with("embeddings.")) {
          EXPECT_EQ(std::memcmp(a, b, count * sizeof(float)), 0) << tensor.name << ": vectors keep their bits";
        }
      }
  }
}

TEST_P(ToPrecision, SameInputSameBytesAndNothingTwice) {
  ASSERT_TRUE(to_precision(work_ / "before", work_ / "a", Precision::int8));
  ASSERT_TRUE(to_precision(work_ / "before", work_ / "b", Precision::int8));
  for (const auto& entry : fs::directory_iterator(work_ / "a"))
    EXPECT_EQ(*read_file(entry.path()), *read_file(work_ / "b" / entry.path().filename())) << entry.path();
  const auto refused = [&](const char* from, const char* to, Precision precision, const char* words) {
    const Status status = to_precision(work_ / from, work_ / to, precision);
    ASSERT_FALSE(status) << words;
    EXPECT_NE(status.error().message.find(words), std::string::npos) << status.error().message;
  };
  refused("a", "c", Precision::bf16, "compressed already");
  refused("before", "before", Precision::int8, "into itself");
  refused("before", "c", Precision::fp32, "begins with");
  refused("none", "c", Precision::int8, "no bundle");
  EXPECT_FALSE(fs::exists(work_ / "c"));
  fs::copy(work_ / "before", work_ / "other");
  refused("before", "other", Precision::int8, "not made by compressing");
  EXPECT_TRUE(Bundle::open(work_ / "other").value()->verify());
}

// With sums of one row x and its rounded form, W x + b and W_int8 x_int8 + b' are the same numbers; the map o reads x -
// x, and v makes it so.
TEST_P(ToPrecision, BiasesTakeBackTheMeanError) {
  const auto before = model("before");
  InputSums sums(before->spec());
  sums.rows = 2;
  for (std::size_t i = 0; i < sums.exact.size(); ++i) {
    sums.exact[i] = 2 * std::sin(static_cast<double>(i));
    sums.rounded[i] = sums.exact[i] + 0.02 * std::cos(static_cast<double>(3 * i));
  }
  ASSERT_TRUE(to_precision(work_ / "before", work_ / "after", Precision::int8, &sums));
  const auto after = model("after");
  EXPECT_EQ(after->bundle()->fathom()["provenance"]["compressed"]["biases_corrected_on_tokens"], 2);
  const int last = before->spec().layers - 1;
  const std::size_t hidden = sums.hidden;  // no heads are pruned here: what o reads is as wide
  const std::pair<const char*, std::size_t> maps[] = {
      {"attention.self.query", 0},        {"attention.self.key", 0},          {"attention.self.value", 0},
      {"attention.output.dense", hidden}, {"intermediate.dense", 2 * hidden}, {"output.dense", 3 * hidden}};
  double moved = 0;
  for (const auto& [map, reads] : maps) {
    const std::string name = "encoder.layer." + std::to_string(last) + "." + map;
    const bool widens = std::string(map) == "intermediate.dense", narrows = std::string(map) == "output.dense";
    const std::size_t outputs = widens ? sums.ffn : hidden, width = narrows ? sums.ffn : hidden,
                      at = static_cast<std::size_t>(last) * sums.layer_width() + reads;
    for (std::size_t n = 0; n < outputs; ++n) {
      double a = before->weight(name + ".bias")[n], b = after->weight(name + ".bias")[n];
      moved += std::fabs(a - b);
      if (name.ends_with("value"))
        a -= sums.exact[static_cast<std::size_t>(last) * sums.layer_width() + hidden + n] / 2;
      for (std::size_t k = 0; k < width; ++k) {
        a += static_cast<double>(before->weight(name + ".weight")[n * width + k]) * sums.exact[at + k] / 2;
        if (!name.ends_with("attention.output.dense"))
          b += static_cast<double>(after->weight(name + ".weight")[n * width + k]) * sums.rounded[at + k] / 2;
      }
      ASSERT_NEAR(a, b, 1e-5) << name << " " << n;
    }
  }
  EXPECT_GT(moved, 1e-4);
}

INSTANTIATE_TEST_SUITE_P(Families, ToPrecision,
                         ::testing::Values("bert", "distilbert", "roberta", "vit", "deit_teacher"));

}  // namespace
}  // namespace fathom::compress
