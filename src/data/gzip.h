// Data files read whole, unpacked where their name ends in .gz. The unpacked size is capped by the packed one, so a
// small hostile file cannot fill the memory: 64 times as much is read, or 32 MiB where that is more.
// Errors: io, limit (cap passed), bad_input (empty, not gzip, cut short, damaged). Thread rule: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/file.h"
#include "base/result.h"

namespace fathom::data {

inline constexpr std::uint64_t kMaxDataBytes = std::uint64_t{1} << 33;
inline constexpr std::uint64_t kMaxGrowth = 64, kFreeGrowth = std::uint64_t{32} << 20;

Result<std::string> unpack_gzip(std::string_view packed, const std::string& where,
                                std::uint64_t max_bytes = kMaxDataBytes);
Result<std::string> read_data_file(const fs::path& path, std::uint64_t max_bytes = kMaxDataBytes);

}  // namespace fathom::data
