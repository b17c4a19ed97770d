#include "compress/narrow_words.h"

#include <gtest/gtest.h>

#include <cmath>

#include "compress/test_bundle.h"

namespace fathom::compress {
namespace {

constexpr const char* kWords = "embeddings.word_embeddings.weight";
constexpr const char* kPositions = "embeddings.position_embeddings.weight";

class NarrowWords : public TestBundle {};

std::size_t size(int value) { return static_cast<std::size_t>(value); }

TEST_P(NarrowWords, RowsComeBackAsCloseAsItSays) {
  const auto before = model("before");
  const ModelSpec& spec = before->spec();
  std::vector<double> uses(size(spec.vocab));
  for (std::size_t v = 0; v < uses.size(); ++v) uses[v] = v % 5 == 0 ? 40.0 : 0.0;
  const auto report = narrow_words(work_ / "before", work_ / "after", 12, uses);
  ASSERT_TRUE(report) << report.error().message;
  const auto after = model("after");
  EXPECT_EQ(after->spec().word_width, 12);
  const std::size_t hidden = size(spec.hidden);
  const float *was = before->weight(kWords), *rows = after->weight(kWords),
              *projection = after->weight("embeddings.word_projection.weight");
  const float *position_was = before->weight(kPositions), *position_is = after->weight(kPositions);
  std::vector<double> mean(hidden), lost_by_use(2), all_by_use(2);
  for (std::size_t i = 0; i < hidden; ++i)
    mean[i] = static_cast<double>(position_is[i]) - static_cast<double>(position_was[i]);
  double lost = 0, all = 0;
  for (std::size_t v = 0; v < size(spec.vocab); ++v)
    for (std::size_t i = 0; i < hidden; ++i) {
      double is = mean[i];
      for (std::size_t k = 0; k < 12; ++k)
        is += static_cast<double>(projection[i * 12 + k]) * static_cast<double>(rows[v * 12 + k]);
      const double gap = std::pow(static_cast<double>(was[v * hidden + i]) - is, 2),
                   spread = std::pow(static_cast<double>(was[v * hidden + i]) - mean[i], 2);
      lost += (1 + uses[v]) * gap, all += (1 + uses[v]) * spread;
      lost_by_use[uses[v] > 0] += gap, all_by_use[uses[v] > 0] += spread;
    }
  EXPECT_NEAR(lost / all, report->lost, 1e-3);
  EXPECT_GT(report->lost, 0.01);
  EXPECT_LT(lost_by_use[1] / all_by_use[1], lost_by_use[0] / all_by_use[0]) << "words that data uses are kept better";
  for (std::size_t t = 0; t < size(spec.max_tokens); ++t)  // the mean went to every position alike
    for (std::size_t i = 0; i < hidden; ++i)
      ASSERT_NEAR(position_is[t * hidden + i] - position_was[t * hidden + i], mean[i], 1e-5);
  EXPECT_FALSE(after->bundle()->fathom().contains("certificate"));
}

TEST_P(NarrowWords, Refusals) {
  const auto refused = [&](const char* from, int width, const char* words) {
    const auto report = narrow_words(work_ / from, work_ / "c", width, {});
    ASSERT_FALSE(report) << words;
    EXPECT_NE(report.error().message.find(words), std::string::npos) << report.error().message;
    EXPECT_FALSE(fs::exists(work_ / "c"));
  };
  refused("before", model("before")->spec().hidden, "not narrower");
  refused("before", 0, "not narrower");
  ASSERT_TRUE(narrow_words(work_ / "before", work_ / "narrow", 8, {}));
  refused("narrow", 4, "already");
}

INSTANTIATE_TEST_SUITE_P(Families, NarrowWords, ::testing::Values("bert", "distilbert", "roberta"));

class NarrowPictures : public TestBundle {};
TEST_P(NarrowPictures, HaveNoWords) {
  const auto report = narrow_words(work_ / "before", work_ / "c", 8, {});
  ASSERT_FALSE(report);
  EXPECT_NE(report.error().message.find("no word table"), std::string::npos);
}
INSTANTIATE_TEST_SUITE_P(Families, NarrowPictures, ::testing::Values("vit"));

}  // namespace
}  // namespace fathom::compress
