#include "data/sample.h"

#include <algorithm>
#include <numeric>

#include "base/random.h"

namespace fathom::data {

std::vector<std::size_t> draw_rows(std::size_t count, std::size_t most, std::uint64_t seed) {
  std::vector<std::size_t> rows(count);
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  const std::size_t wanted = most == 0 ? count : std::min(count, most);
  Random random(seed, "sample");
  for (std::size_t i = 0; i < wanted; ++i)
    std::swap(rows[i], rows[i + static_cast<std::size_t>(random.below(count - i))]);
  rows.resize(wanted);
  return rows;
}

std::vector<std::size_t> sample_rows(std::size_t count, std::size_t most, std::uint64_t seed) {
  std::vector<std::size_t> rows = draw_rows(count, most, seed);
  std::sort(rows.begin(), rows.end());
  return rows;
}

}  // namespace fathom::data
