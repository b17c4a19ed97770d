#include "data/sample.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace fathom::data {
namespace {

// Rows of ten classes, sorted by class: any ten percent of them must show about as many of each.
std::vector<int> classes_among(const std::vector<std::size_t>& rows, std::size_t count, std::size_t first) {
  std::vector<int> seen(10);
  for (std::size_t i = 0; i < std::min(first, rows.size()); ++i) ++seen[rows[i] * 10 / count];
  return seen;
}

TEST(Sample, IsOfTheWholeWhateverTheOrder) {
  for (const std::uint64_t seed : {1u, 2u, 3u}) {
    const auto rows = sample_rows(20000, 2000, seed);
    ASSERT_EQ(rows.size(), 2000u);
    EXPECT_TRUE(std::is_sorted(rows.begin(), rows.end()));
    EXPECT_EQ(std::set<std::size_t>(rows.begin(), rows.end()).size(), rows.size());
    for (const int seen : classes_among(rows, 20000, 2000)) EXPECT_NEAR(seen, 200, 60);  // 4.5 deviations
  }
}

TEST(Sample, APrefixOfTheDrawIsASampleToo) {
  const auto rows = draw_rows(20000, 2000);
  for (const int seen : classes_among(rows, 20000, 500)) EXPECT_NEAR(seen, 50, 30);
  EXPECT_EQ(sample_rows(20000, 2000), sample_rows(20000, 2000));
  EXPECT_NE(sample_rows(20000, 2000, 1), sample_rows(20000, 2000, 2));
}

TEST(Sample, OfFewRowsIsAllOfThem) {
  const std::vector<std::size_t> all = {0, 1, 2, 3, 4};
  EXPECT_EQ(sample_rows(5, 9), all);
  EXPECT_EQ(sample_rows(5, 5), all);
  EXPECT_EQ(sample_rows(5, 0), all);
  EXPECT_TRUE(sample_rows(0, 9).empty());
}

}  // namespace
}  // namespace fathom::data
