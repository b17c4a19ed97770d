#include "compress/fold.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/random.h"
#include "compress/narrow_words.h"
#include "compress/prune.h"
#include "compress/test_bundle.h"
#include "compress/to_precision.h"

namespace fathom::compress {
namespace {

std::size_t size(int value) { return static_cast<std::size_t>(value); }

// Rows of every map, of uneven strength around a mean.
Result<InputMoments> uneven(const ModelSpec& spec, int layer) {
  InputMoments moments(spec);
  Random random(static_cast<std::uint64_t>(layer), "fold");
  moments.rows = 300;
  for (Moments& of : moments.of)
    for (std::size_t r = 0; r < moments.rows; ++r) {
      std::vector<double> x(of.width);
      const double common = random.normal();
      for (std::size_t i = 0; i < x.size(); ++i)
        of.sums[i] += x[i] = 0.5 + common + random.normal() / static_cast<double>(1 + i % 7);
      for (std::size_t i = 0; i < x.size(); ++i)
        for (std::size_t k = 0; k < x.size(); ++k) of.products[i * of.width + k] += static_cast<float>(x[i] * x[k]);
    }
  return moments;
}

class Fold : public TestBundle {
 protected:
  MomentsOf moments() {
    return [this](int layer) { return uneven(model("before")->spec(), layer); };
  }
  std::string bytes(const char* name) { return *read_file(work_ / name / "model.safetensors"); }
};

// L R of one part of a map.
std::vector<double> whole(const Model& model, int layer, const LayerMap& map, const std::string& part) {
  const std::size_t in = size(map.in), out = size(map.out), rank = size(map.rank);
  const float *left = model.weight("encoder.layer." + std::to_string(layer) + "." + part + ".weight"),
              *right = model.weight(factor_name(model.spec(), layer, map));
  std::vector<double> w(out * in);
  for (std::size_t n = 0; n < out; ++n)
    for (std::size_t r = 0; r < rank; ++r)
      for (std::size_t k = 0; k < in; ++k)
        w[n * in + k] += static_cast<double>(left[n * rank + r]) * static_cast<double>(right[r * in + k]);
  return w;
}

TEST_P(Fold, AtFullRankTheProductIsTheMap) {
  const auto before = model("before");
  const auto maps = layer_maps(before->spec());
  for (const bool shared : {false, true}) {
    FoldChoice choice;
    choice.shared = shared;
    for (std::size_t i = 0; i < 4; ++i) choice.ranks[i] = shared ? maps[i].in : std::min(maps[i].in, maps[i].outputs());
    if (shared)
      choice.ranks[3] = 0;  // f2 has fewer outputs than inputs: those of all layers together decide, and it stays
    const auto report = fold(work_ / "before", work_ / "after", choice, moments());
    ASSERT_TRUE(report) << report.error().message;
    const auto after = model("after");
    EXPECT_EQ(after->spec().ranks.shared, shared);
    const auto folded = layer_maps(after->spec());
    for (int layer = 0; layer < before->spec().layers; ++layer)
      for (std::size_t i = 0; i < 4; ++i) {
        ASSERT_EQ(folded[i].rank, choice.ranks[i]);
        for (const std::string& part : maps[i].parts) {
          const std::string name = "encoder.layer." + std::to_string(layer) + "." + part;
          const float* was = before->weight(name + ".weight");
          const std::size_t count = size(maps[i].out) * size(maps[i].in);
          const std::vector<double> is =
              folded[i].rank > 0
                  ? whole(*after, layer, folded[i], part)
                  : std::vector<double>(after->weight(name + ".weight"), after->weight(name + ".weight") + count);
          for (std::size_t k = 0; k < count; ++k) ASSERT_NEAR(is[k], was[k], 2e-4) << name << " " << k;
          for (std::size_t n = 0; n < size(maps[i].out); ++n)
            ASSERT_NEAR(after->weight(name + ".bias")[n], before->weight(name + ".bias")[n], 2e-3) << name;
        }
      }
    for (const TensorSpec& tensor : backbone_tensors(before->spec())) {
      const bool map = tensor.name.starts_with("encoder.layer.") && tensor.name.find("orm") == std::string::npos;
      for (std::int64_t i = 0; !map && i < elements_of(tensor.shape); ++i)
        ASSERT_EQ(after->weight(tensor.name)[i], before->weight(tensor.name)[i]) << tensor.name;
    }
    EXPECT_FALSE(after->bundle()->fathom().contains("certificate"));
    EXPECT_EQ(after->bundle()->fathom()["provenance"]["compressed"]["folded"]["shared"], shared);
  }
}

TEST_P(Fold, EnergyTakesTheSmallestRankThatPays) {
  const auto before = model("before");
  const auto maps = layer_maps(before->spec());
  FoldChoice choice;
  choice.energy = 0.5;
  const auto report = fold(work_ / "before", work_ / "after", choice, moments());
  ASSERT_TRUE(report) << report.error().message;
  const auto after = model("after");
  bool any = false;
  for (std::size_t i = 0; i < 4; ++i) {
    const auto& map = report->maps[i];
    const int out = maps[i].outputs();
    EXPECT_EQ(map.pays_below, pays_below(maps[i]));
    EXPECT_GE(map.pays_below * (maps[i].in + out), maps[i].in * out);
    EXPECT_LT((map.pays_below - 1) * (maps[i].in + out), maps[i].in * out);
    EXPECT_EQ(map.rank, map.for_energy < map.pays_below ? map.for_energy : 0);
    if (map.rank == 0) continue;
    any = true;
    EXPECT_LE(map.lost, 0.5 + 1e-6);
    EXPECT_EQ(map.rank % 16, 0);
  }
  EXPECT_TRUE(any) << "nothing was folded: the test says nothing";
  EXPECT_EQ(layer_maps(after->spec())[2].rank, report->maps[2].rank);
  const std::string once = bytes("after");
  ASSERT_TRUE(fold(work_ / "before", work_ / "again", choice, moments()));
  EXPECT_EQ(bytes("again"), once) << "same input, same bytes";
}

TEST_P(Fold, FoldedMapsGoToInt8WithTheirBiases) {
  const ModelSpec spec = model("before")->spec();
  FoldChoice choice;
  choice.ranks = {12, 8, 16, 8};
  ASSERT_TRUE(fold(work_ / "before", work_ / "after", choice, moments()));
  const auto folded = model("after");
  InputSums sums(spec);
  sums.rows = 4;
  for (std::size_t i = 0; i < sums.exact.size(); ++i)
    sums.exact[i] = sums.rounded[i] = 0.25 * static_cast<double>(i % 9);
  const auto made = to_precision(work_ / "after", work_ / "int8", Precision::int8, &sums);
  ASSERT_TRUE(made) << made.error().message;
  const auto rounded = model("int8");
  ASSERT_EQ(rounded->spec().ranks, folded->spec().ranks);
  const auto maps = layer_maps(folded->spec());
  for (const std::size_t i : {std::size_t{2}, std::size_t{3}}) {  // of f1 and f2: W mean + b is what it was
    const std::string& part = maps[i].parts[0];
    const std::string name = "encoder.layer.1." + part;
    const double* x = sums.exact.data() + sums.layer_width() + (i == 2 ? sums.at_f1() : sums.at_f2());
    const std::vector<double> was = whole(*folded, 1, maps[i], part), is = whole(*rounded, 1, maps[i], part);
    for (std::size_t n = 0; n < size(maps[i].out); ++n) {
      double a = folded->weight(name + ".bias")[n], b = rounded->weight(name + ".bias")[n];
      for (std::size_t k = 0; k < size(maps[i].in); ++k)
        a += was[n * size(maps[i].in) + k] * x[k] / 4, b += is[n * size(maps[i].in) + k] * x[k] / 4;
      ASSERT_NEAR(a, b, 1e-4) << name << " " << n;
    }
  }
}

TEST_P(Fold, AWeightThatIsNotFiniteIsNamedByEveryTransform) {
  const auto before = model("before");
  const auto whole = before->bundle()->weights()->file_bytes();
  const auto at =
      reinterpret_cast<const std::byte*>(before->weight("encoder.layer.1.intermediate.dense.weight")) - whole.data();
  std::string bytes(reinterpret_cast<const char*>(whole.data()), whole.size());
  const float nan = std::nanf("");
  std::memcpy(bytes.data() + at, &nan, sizeof nan);
  ASSERT_TRUE(write_file_atomic(work_ / "before" / "model.safetensors", bytes));
  const auto named = [](const auto& made, const char* which) {
    ASSERT_FALSE(made) << which;
    EXPECT_NE(made.error().message.find("value 0 is not finite"), std::string::npos)
        << which << ": " << made.error().message;
  };
  FoldChoice choice;
  choice.energy = 0.9;
  named(fold(work_ / "before", work_ / "c", choice, moments()), "fold");
  choice.by_weights = true;
  named(fold(work_ / "before", work_ / "c", choice, {}), "fold by weights");
  named(prune(work_ / "before", work_ / "c", {0, 0.5}, moments()), "prune");
  named(to_precision(work_ / "before", work_ / "c", Precision::bf16), "to_precision");
  if (before->spec().modality == Modality::text)
    named(narrow_words(work_ / "before", work_ / "c", 8, {}), "narrow_words");
  EXPECT_FALSE(fs::exists(work_ / "c"));
}

TEST_P(Fold, RefusalsLeaveNothing) {
  const auto refused = [&](const char* from, const FoldChoice& choice, const char* words) {
    const auto report = fold(work_ / from, work_ / "c", choice, moments());
    ASSERT_FALSE(report) << words;
    EXPECT_NE(report.error().message.find(words), std::string::npos) << report.error().message;
    EXPECT_FALSE(fs::exists(work_ / "c"));
  };
  FoldChoice much, all, some;
  much.ranks = {100000, 0, 0, 0};
  all.energy = 0.999999;
  some.ranks = {8, 0, 0, 0};
  refused("before", {}, "nothing to fold");
  refused("before", much, "more than the map has");
  refused("before", all, "would not pay");
  ASSERT_TRUE(fold(work_ / "before", work_ / "folded", some, moments()));
  refused("folded", some, "folded maps already");
  const auto pruned = prune(work_ / "folded", work_ / "c", {0, 0.5}, moments());
  ASSERT_FALSE(pruned);
  EXPECT_NE(pruned.error().message.find("folded maps"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Families, Fold, ::testing::Values("bert", "distilbert", "roberta", "timm_vit"));

}  // namespace
}  // namespace fathom::compress
