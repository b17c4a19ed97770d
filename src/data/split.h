// Taking rows out of a split, and carving missing splits out of train: disjoint, seeded, in file order.
// Thread rule: pure functions.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "data/dataset.h"

namespace fathom::data {

// The rows of `split` at `rows`, in that order.
Split take_rows(const Split& split, const std::vector<std::size_t>& rows);
// Fills tune and calibrate from train where they are empty: clamp(train/8, 1, 8000) rows each, chosen by `seed`;
// then keeps at most max_train rows of train (0: all), chosen by `seed`. Notes what it did.
// Error: bad_input when train is too small to be carved.
Status carve_splits(Dataset& dataset, std::uint64_t seed, std::size_t max_train);

}  // namespace fathom::data
