#include "compress/prune.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "compress/test_bundle.h"

namespace fathom::compress {
namespace {

// Inputs of o and f2 that do not know of one another and are 0 on average: what is kept keeps its weights.
Result<InputMoments> independent(const ModelSpec& spec) {
  InputMoments moments(spec);
  moments.rows = 10;
  for (Moments* of : {&moments.of[1], &moments.of[3]})
    for (std::size_t i = 0; i < of->width; ++i) of->products[i * of->width + i] = 10;
  return moments;
}

class Prune : public TestBundle {
 protected:
  MomentsOf moments() {
    return [this](int) { return independent(model("before")->spec()); };
  }
};

double length(const float* weights, std::size_t rows, std::size_t width, std::size_t first, std::size_t count) {
  double sum = 0;
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t i = first; i < first + count; ++i) sum += std::pow(static_cast<double>(weights[r * width + i]), 2);
  return sum;
}

// The groups of columns of `name` with the longest weights, rising.
std::vector<std::size_t> longest(const Model& model, const std::string& name, std::size_t width, std::size_t group,
                                 std::size_t keep) {
  std::vector<std::size_t> order(width / group);
  std::iota(order.begin(), order.end(), std::size_t{0});
  const float* weights = model.weight(name);
  const std::size_t hidden = static_cast<std::size_t>(model.spec().hidden);
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return length(weights, hidden, width, a * group, group) > length(weights, hidden, width, b * group, group);
  });
  order.resize(keep);
  std::sort(order.begin(), order.end());
  return order;
}

TEST_P(Prune, MatricesAreSmallerAndHoldWhatWasKept) {
  const auto before = model("before");
  const auto report = prune(work_ / "before", work_ / "after", {0.5, 0.25}, moments());
  ASSERT_TRUE(report) << report.error().message;
  const auto after = model("after");
  const ModelSpec &old = before->spec(), &spec = after->spec();
  EXPECT_EQ(spec.heads, left_of(old.heads, 0.5));
  EXPECT_EQ(spec.ffn, left_of(old.ffn, 0.25));
  EXPECT_EQ(spec.head_dim(), old.head_dim());
  EXPECT_EQ(report->layers.size(), static_cast<std::size_t>(old.layers));
  const Json& config = after->bundle()->config();
  for (const char* key : {"intermediate_size", "hidden_dim"})
    if (config.contains(key)) {
      EXPECT_EQ(config[key], spec.ffn) << key;
    }
  const std::size_t hidden = static_cast<std::size_t>(spec.hidden), dim = static_cast<std::size_t>(spec.head_dim());
  for (int layer = 0; layer < spec.layers; ++layer) {
    const std::string name = "encoder.layer." + std::to_string(layer) + ".";
    const auto same = [&](const char* reader, std::initializer_list<const char*> writers, std::size_t group,
                          std::size_t was, std::size_t is) {
      const auto kept = longest(*before, name + reader + ".weight", was, group, is / group);
      for (std::size_t i = 0; i < is; ++i) {
        const std::size_t from = kept[i / group] * group + i % group;
        for (std::size_t n = 0; n < hidden; ++n)
          ASSERT_NEAR(after->weight(name + reader + ".weight")[n * is + i],
                      before->weight(name + reader + ".weight")[n * was + from], 1e-6)
              << name << reader;
        for (const char* writer : writers) {
          ASSERT_EQ(after->weight(name + writer + ".bias")[i], before->weight(name + writer + ".bias")[from])
              << name << writer;
          for (std::size_t k = 0; k < hidden; ++k)
            ASSERT_EQ(after->weight(name + writer + ".weight")[i * hidden + k],
                      before->weight(name + writer + ".weight")[from * hidden + k])
                << name << writer;
        }
      }
      for (std::size_t n = 0; n < hidden; ++n)
        ASSERT_EQ(after->weight(name + reader + ".bias")[n], before->weight(name + reader + ".bias")[n]);
    };
    same("attention.output.dense", {"attention.self.query", "attention.self.key", "attention.self.value"}, dim,
         static_cast<std::size_t>(old.attention_width()), static_cast<std::size_t>(spec.attention_width()));
    same("output.dense", {"intermediate.dense"}, 1, static_cast<std::size_t>(old.ffn),
         static_cast<std::size_t>(spec.ffn));
  }
  for (const auto& wanted : {backbone_tensors(spec), task_head_tensors(spec)})
    for (const TensorSpec& tensor : wanted)
      if (!tensor.name.starts_with("encoder.layer.") || tensor.name.find("orm") != std::string::npos) {
        for (std::int64_t i = 0; i < elements_of(tensor.shape); ++i)
          ASSERT_EQ(after->weight(tensor.name)[i], before->weight(tensor.name)[i]) << tensor.name;
      }
  const Json made = after->bundle()->fathom()["provenance"]["compressed"];
  EXPECT_EQ(made["from"], before->bundle()->checksum());
  EXPECT_EQ(made["pruned"]["ffn"], Json({old.ffn, spec.ffn}));
  for (const char* gone : {"certificate", "operating_points"})
    EXPECT_FALSE(after->bundle()->fathom().contains(gone)) << gone;
}

// The mean of what goes moves into the bias.
TEST_P(Prune, MeansMoveIntoTheBias) {
  const auto before = model("before");
  const auto with_means = [&](int) -> Result<InputMoments> {
    FATHOM_TRY(InputMoments moments, independent(before->spec()));
    for (std::size_t i = 0; i < moments.of[3].width; ++i) {
      moments.of[3].sums[i] = 30;  // 3 a row
      for (std::size_t j = 0; j < moments.of[3].width; ++j) moments.of[3].products[i * moments.of[3].width + j] += 90;
    }
    return moments;
  };
  ASSERT_TRUE(prune(work_ / "before", work_ / "after", {0, 0.5}, with_means));
  const auto after = model("after");
  const std::size_t was = static_cast<std::size_t>(before->spec().ffn),
                    is = static_cast<std::size_t>(after->spec().ffn);
  const std::string name = "encoder.layer.0.output.dense";
  for (std::size_t n = 0; n < static_cast<std::size_t>(before->spec().hidden); ++n) {
    double a = before->weight(name + ".bias")[n], b = after->weight(name + ".bias")[n];
    for (std::size_t i = 0; i < was; ++i) a += 3.0 * static_cast<double>(before->weight(name + ".weight")[n * was + i]);
    for (std::size_t i = 0; i < is; ++i) b += 3.0 * static_cast<double>(after->weight(name + ".weight")[n * is + i]);
    ASSERT_NEAR(a, b, 1e-4) << n;
  }
}

TEST_P(Prune, RefusalsLeaveNothing) {
  const auto refused = [&](const char* from, const char* to, const PruneShares& shares, const char* words) {
    const auto report = prune(work_ / from, work_ / to, shares, moments());
    ASSERT_FALSE(report) << words;
    EXPECT_NE(report.error().message.find(words), std::string::npos) << report.error().message;
  };
  refused("before", "c", {}, "nothing would go");
  refused("before", "c", {1.0, 0}, "cannot be pruned");
  refused("before", "c", {0, std::nan("")}, "cannot be pruned");
  refused("before", "before", {0, 0.5}, "into itself");
  refused("none", "c", {0, 0.5}, "no bundle");
  const auto failing = prune(work_ / "before", work_ / "c", {0, 0.5}, [](int) -> Result<InputMoments> {
    return Error{Code::bad_input, "no data", ""};
  });
  EXPECT_EQ(failing.error().message, "no data");
  EXPECT_FALSE(fs::exists(work_ / "c"));
}

TEST(PruneShares, LeftOf) {
  EXPECT_EQ(left_of(12, 0.25), 9);
  EXPECT_EQ(left_of(12, 0.99), 1);
  EXPECT_EQ(left_of(1536, 0.4), 928);
  EXPECT_EQ(left_of(64, 0.9), 32);
  EXPECT_EQ(left_of(100, 0.01), 96);
}

INSTANTIATE_TEST_SUITE_P(Families, Prune,
                         ::testing::Values("bert", "distilbert", "roberta", "vit", "deit_teacher", "timm_vit"));

}  // namespace
}  // namespace fathom::compress
