#include "data/split.h"

#include <algorithm>
#include <numeric>

#include "base/random.h"

namespace fathom::data {
namespace {

constexpr std::size_t kMaxCarved = 8000;

std::vector<std::size_t> shuffled_rows(std::size_t count, std::uint64_t seed, const char* name) {
  std::vector<std::size_t> rows(count);
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  Random(seed, name).shuffle(rows);
  return rows;
}

Split take_sorted(const Split& split, const std::vector<std::size_t>& rows, std::size_t begin, std::size_t end) {
  std::vector<std::size_t> some(rows.begin() + static_cast<std::ptrdiff_t>(begin),
                                rows.begin() + static_cast<std::ptrdiff_t>(end));
  std::sort(some.begin(), some.end());
  return take_rows(split, some);
}

}  // namespace

Split take_rows(const Split& split, const std::vector<std::size_t>& rows) {
  Split out;
  out.height = split.height;
  out.width = split.width;
  out.labels.reserve(rows.size());
  if (!split.pixels.empty()) out.pixels.reserve(rows.size() * split.picture_bytes());
  for (const std::size_t row : rows) {
    out.labels.push_back(split.labels[row]);
    if (!split.texts.empty()) out.texts.push_back(split.texts[row]);
    if (!split.second.empty()) out.second.push_back(split.second[row]);
    if (!split.files.empty()) out.files.push_back(split.files[row]);
    if (!split.complexity.empty()) out.complexity.push_back(split.complexity[row]);
    if (!split.pixels.empty())
      out.pixels.insert(out.pixels.end(), split.picture(row), split.picture(row) + split.picture_bytes());
  }
  return out;
}

Status carve_splits(Dataset& dataset, std::uint64_t seed, std::size_t max_train) {
  const Split train = std::move(dataset.part(Part::train));
  const std::size_t share = std::clamp<std::size_t>(train.size() / 8, 1, kMaxCarved);
  const auto rows = shuffled_rows(train.size(), seed, "carve");
  std::size_t taken = 0;
  for (const Part part : {Part::tune, Part::calibrate}) {
    if (dataset.part(part).size() > 0) continue;
    if (taken + share >= train.size())
      return Error{Code::bad_input,
                   "train has " + std::to_string(train.size()) + " rows, too few to carve a " + part_name(part) +
                       " split out of it",
                   "give more training rows"};
    dataset.part(part) = take_sorted(train, rows, taken, taken + share);
    taken += share;
    dataset.notes.push_back(std::string(part_name(part)) + ": " + std::to_string(share) +
                            " rows carved out of train (seed " + std::to_string(seed) + ")");
  }
  // Carving comes first, so the held-out splits are the same whatever max_train is.
  const std::size_t kept = max_train == 0 ? rows.size() : std::min(rows.size(), taken + max_train);
  if (kept < rows.size())
    dataset.notes.push_back("train: " + std::to_string(kept - taken) + " of " + std::to_string(rows.size() - taken) +
                            " rows kept");
  dataset.part(Part::train) = take_sorted(train, rows, taken, kept);
  return {};
}

}  // namespace fathom::data
