// The pieces of a tokenizer's model with their ids, as a file lists them: ids may leave gaps, two pieces may share one,
// and of a piece that stands twice the last id counts, as in the Hugging Face library. Thread rule: plain values.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace fathom::data {

inline constexpr std::int64_t kMostIds = 1 << 24;  // ids are below this, as word rows are in model/spec.h

struct Vocabulary {
  std::vector<std::string> pieces;  // "" may be among them: it has an id, and no text holds it
  std::vector<std::int32_t> ids;    // of each

  void add(std::string piece, std::int32_t id) {
    pieces.push_back(std::move(piece));
    ids.push_back(id);
  }
  std::int32_t end() const { return ids.empty() ? 0 : 1 + *std::max_element(ids.begin(), ids.end()); }
};

}  // namespace fathom::data
