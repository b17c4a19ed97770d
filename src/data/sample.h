// Samples of rows. Files are sorted by label and class folders by class, so the first rows of a split may all be of one
// class: no prefix of a file is ever a sample, and whatever looks at some rows of many asks here which.
// Seeded: the same count, most and seed give the same rows. Thread rule: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace fathom::data {

// At most `most` of the rows 0 .. count - 1, each as likely as any other, in the order drawn: whoever stops early has
// had a sample all the same. most 0: all of them.
std::vector<std::size_t> draw_rows(std::size_t count, std::size_t most, std::uint64_t seed = 1);

// The same rows rising, as files are read.
std::vector<std::size_t> sample_rows(std::size_t count, std::size_t most, std::uint64_t seed = 1);

}  // namespace fathom::data
