// Appending ids up to a limit. Thread rule: a pure function.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

namespace fathom::data {

// Appends what fits below `limit` ids in `ids`; false if anything was left out.
inline bool append_ids(std::span<const std::int32_t> more, std::size_t limit, std::vector<std::int32_t>& ids) {
  const std::size_t room = limit > ids.size() ? limit - ids.size() : 0, kept = std::min(room, more.size());
  ids.insert(ids.end(), more.begin(), more.begin() + static_cast<std::ptrdiff_t>(kept));
  return kept == more.size();
}

}  // namespace fathom::data
