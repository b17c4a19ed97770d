#include "train/predictor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/random.h"

namespace fathom::train {
namespace {

using policy::PredictorKind;
using torch::Tensor;

constexpr std::int64_t kRows = 4000, kColumns = 6;

// Depth 1..8 follows the first column, loosely; some values are missing, many are repeated (exact thresholds).
struct Sample {
  Tensor features, depth;
};
Sample sample() {
  Sample out{torch::empty({kRows, kColumns}, torch::kDouble), torch::empty({kRows}, torch::kLong)};
  Random random(3);
  for (std::int64_t i = 0; i < kRows; ++i) {
    double* row = out.features.data_ptr<double>() + i * kColumns;
    for (std::int64_t c = 0; c < kColumns; ++c)
      row[c] = c < 3 ? random.normal() : static_cast<double>(random.below(7)) / 6.0;
    const double level = 4.5 + 2 * row[0] + row[3] + 0.5 * random.normal();
    out.depth[i] = std::clamp<std::int64_t>(std::llround(level), 1, 8);
    if (random.chance(0.05)) row[1] = std::numeric_limits<double>::quiet_NaN();
  }
  return out;
}

// Rows to compare on: training rows, values standing exactly on thresholds and one step beside them, NaN, 0, infinity.
Tensor probing_rows(const Tensor& rows) {
  const std::int64_t n = 12000, columns = rows.size(1);
  auto out = torch::empty({n, columns}, torch::kDouble);
  Random random(8);
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t c = 0; c < columns; ++c) {
      double v = rows.data_ptr<
          double>()[static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(rows.size(0)))) * columns + c];
      const double u = random.uniform();
      if (u < 0.1)
        v = std::nextafter(v, 1e30);
      else if (u < 0.2)
        v = std::nextafter(v, -1e30);
      else if (u < 0.25)
        v = std::numeric_limits<double>::quiet_NaN();
      else if (u < 0.28)
        v = 0;
      else if (u < 0.29)
        v = std::numeric_limits<double>::infinity();
      out.data_ptr<double>()[i * columns + c] = v;
    }
  }
  return out;
}

// Values at midpoints that LightGBM itself chose as thresholds.
void put_thresholds(const std::string& text, Tensor rows) {
  std::int64_t row = 0;
  for (std::size_t at = text.find("\nthreshold="); at != std::string::npos && row < rows.size(0);
       at = text.find("\nthreshold=", at + 1)) {
    std::size_t next = at + 11;
    while (text[next - 1] != '\n' && row < rows.size(0)) {
      std::size_t used = 0;
      const double v = std::stod(text.substr(next, 40), &used);
      rows.select(0, row++).fill_(v);
      next += used + 1;
    }
  }
}

void expect_equal_bits(PredictorKind kind) {
  const auto data = sample();
  const auto table = kind == PredictorKind::survival ? survival_table(data.features, data.depth, 8)
                                                     : Booster::Table{data.features, data.depth.to(torch::kFloat)};
  TreeSettings settings;
  const auto booster = Booster::train(table, settings, kind, 1);
  ASSERT_TRUE(booster) << booster.error().message;
  const auto text = (*booster)->text(0);
  ASSERT_TRUE(text);
  const auto trees = policy::Trees::parse(*text, "predictor.txt");
  ASSERT_TRUE(trees) << trees.error().message;
  EXPECT_EQ(trees->tree_count(), 40);
  auto rows = probing_rows(table.rows);
  put_thresholds(*text, rows);
  const auto raw = (*booster)->predict(rows, 0, true), out = (*booster)->predict(rows, 0, false);
  ASSERT_TRUE(raw && out);
  const auto width = static_cast<std::size_t>(rows.size(1));
  std::int64_t different = 0;
  for (std::int64_t i = 0; i < rows.size(0); ++i) {
    const std::span<const double> row(rows.data_ptr<double>() + static_cast<std::size_t>(i) * width, width);
    different += trees->raw(row) != raw->data_ptr<double>()[i] || trees->predict(row) != out->data_ptr<double>()[i];
  }
  EXPECT_EQ(different, 0) << "of " << rows.size(0);
}

TEST(Predictor, NativeTreesEqualLightGbmBitForBitSurvival) { expect_equal_bits(PredictorKind::survival); }
TEST(Predictor, NativeTreesEqualLightGbmBitForBitHuber) { expect_equal_bits(PredictorKind::huber); }

TEST(Predictor, SurvivalNeverRisesWithTheExit) {
  const auto data = sample();
  const auto booster = Booster::train(survival_table(data.features, data.depth, 8), {}, PredictorKind::survival, 1);
  ASSERT_TRUE(booster);
  const auto s = (*booster)->predict(survival_table(data.features, data.depth, 8).rows, 0, false);
  ASSERT_TRUE(s);
  const auto by_exit = s->view({-1, 7});
  EXPECT_LE((by_exit.narrow(1, 1, 6) - by_exit.narrow(1, 0, 6)).max().item<double>(), 0.0);
}

TEST(Predictor, SearchPredictsRowsItDidNotSeeAndRepeats) {
  ModelSpec spec;
  spec.layers = 8;
  spec.hidden = 64;
  const auto data = sample();
  const auto fold = torch::arange(kRows).remainder(3);
  const std::vector<Tensor> features(3, data.features);
  const auto search = search_predictor(spec, features, fold, data.depth, PredictorKind::survival, 1);
  ASSERT_TRUE(search);
  const auto facts = predictor_quality(search->out_of_fold, data.depth);
  EXPECT_GT(facts["spearman"].get<double>(), 0.85);
  EXPECT_GT(facts["auroc_per_exit"][3].get<double>(), 0.9);
  const auto again = search_predictor(spec, features, fold, data.depth, PredictorKind::survival, 1);
  ASSERT_TRUE(again);
  EXPECT_TRUE(torch::equal(search->out_of_fold, again->out_of_fold));
}

TEST(Predictor, AreaUnderTheCurve) {
  const double a[] = {1, 2, 3, 4};
  const std::uint8_t positive[] = {0, 1, 0, 1};
  EXPECT_DOUBLE_EQ(auroc(a, positive), 0.75);
}

}  // namespace
}  // namespace fathom::train
