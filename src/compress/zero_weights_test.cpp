#include "compress/zero_weights.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/random.h"
#include "compress/fold.h"
#include "compress/test_bundle.h"

namespace fathom::compress {
namespace {

class ZeroBundle : public TestBundle {
 protected:
  MomentsOf moments() {
    return [this](int layer) -> Result<InputMoments> {
      InputMoments out(model("before")->spec());
      Random random(static_cast<std::uint64_t>(layer), "zero");
      out.rows = 200;
      for (Moments& of : out.of)
        for (std::size_t r = 0; r < out.rows; ++r) {
          std::vector<double> x(of.width);
          for (std::size_t i = 0; i < x.size(); ++i) of.sums[i] += x[i] = random.normal();
          for (std::size_t i = 0; i < x.size(); ++i)
            for (std::size_t k = 0; k < x.size(); ++k) of.products[i * of.width + k] += static_cast<float>(x[i] * x[k]);
        }
      return out;
    };
  }
};

TEST_P(ZeroBundle, MapsHaveZerosAndNothingElseChanges) {
  const auto before = model("before");
  const auto report = zero_weights(work_ / "before", work_ / "after", {0, true}, moments());
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_DOUBLE_EQ(report->zeros, 0.5);
  for (const double lost : report->lost) EXPECT_TRUE(lost > 0.01 && lost < 0.5) << lost;
  const auto after = model("after");
  EXPECT_EQ(spec_to_json(after->spec()), spec_to_json(before->spec()));
  for (const TensorSpec& tensor : backbone_tensors(before->spec())) {
    const auto count = elements_of(tensor.shape);
    const float *was = before->weight(tensor.name), *is = after->weight(tensor.name);
    const bool norm = tensor.name.find("orm") != std::string::npos,
               map = tensor.name.starts_with("encoder.layer.") && !norm;
    if (map && tensor.name.ends_with(".weight")) {
      EXPECT_EQ(std::count(is, is + count, 0.0f), count / 2) << tensor.name;
    } else if (!map) {
      EXPECT_EQ(0, std::memcmp(was, is, static_cast<std::size_t>(count) * 4)) << tensor.name;
    }
  }
  const Json& fathom = after->bundle()->fathom();
  EXPECT_EQ(fathom["provenance"]["compressed"]["zeroed"]["share"], "2:4");
  for (const char* gone : {"certificate", "operating_points"}) EXPECT_FALSE(fathom.contains(gone)) << gone;
  ASSERT_TRUE(zero_weights(work_ / "before", work_ / "again", {0, true}, moments()));
  EXPECT_EQ(*read_file(work_ / "after/model.safetensors"), *read_file(work_ / "again/model.safetensors"));
}

TEST_P(ZeroBundle, RefusalsLeaveNothing) {
  const auto refused = [&](const char* from, const ZeroChoice& choice, Code code) {
    const auto report = zero_weights(work_ / from, work_ / "c", choice, moments());
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().code, code) << report.error().message;
    EXPECT_FALSE(fs::exists(work_ / "c"));
  };
  refused("before", {}, Code::usage);
  refused("before", {1.0, false}, Code::usage);
  refused("before", {std::nan(""), false}, Code::usage);
  FoldChoice fold_choice;
  fold_choice.ranks[2] = 4;
  fold_choice.by_weights = true;
  ASSERT_TRUE(fold(work_ / "before", work_ / "folded", fold_choice, {}));
  refused("folded", {0.5, false}, Code::unsupported);
}

INSTANTIATE_TEST_SUITE_P(Families, ZeroBundle, ::testing::Values("bert", "roberta", "timm_vit"));

}  // namespace
}  // namespace fathom::compress
