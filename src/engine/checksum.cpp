#include "engine/checksum.h"

#include <cstring>

namespace fathom::engine {

std::uint64_t quick_hash(const std::byte* data, std::size_t bytes) {
  constexpr std::uint64_t kPrime = 0x9E3779B97F4A7C15ull;
  std::uint64_t lane[8];
  for (std::size_t i = 0; i < 8; ++i) lane[i] = kPrime * (i + 1);
  std::size_t at = 0;
  for (; at + 64 <= bytes; at += 64) {
    std::uint64_t word[8];
    std::memcpy(word, data + at, 64);
    for (std::size_t i = 0; i < 8; ++i) {
      const std::uint64_t mixed = (lane[i] ^ word[i]) * kPrime;
      lane[i] = mixed ^ (mixed >> 29);
    }
  }
  std::uint64_t hash = bytes;
  for (; at < bytes; ++at) hash = (hash ^ static_cast<std::uint64_t>(data[at])) * kPrime;
  for (const std::uint64_t value : lane) hash = (hash ^ value ^ (hash >> 31)) * kPrime;
  return hash ^ (hash >> 32);
}

}  // namespace fathom::engine
