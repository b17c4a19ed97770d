// Words met before and their ids: a table of fixed size in which a newer word takes an older one's place.
// It changes how fast ids are found, never which. Thread rule: one thread at a time.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace fathom::data {

class WordCache {
 public:
  // Empty if the word is not there.
  std::span<const std::int32_t> find(std::string_view word) const {
    if (word.size() > kMaxBytes || entries_.empty()) return {};
    const Entry& entry = entries_[slot(word)];
    if (entry.bytes != word.size() || std::memcmp(entry.word.data(), word.data(), word.size()) != 0) return {};
    return {entry.ids.data(), entry.count};
  }

  void put(std::string_view word, std::span<const std::int32_t> ids) {
    if (word.empty() || word.size() > kMaxBytes || ids.empty() || ids.size() > kMaxIds) return;
    if (entries_.empty()) entries_.resize(kEntries);
    Entry& entry = entries_[slot(word)];
    entry.bytes = static_cast<std::uint8_t>(word.size());
    entry.count = static_cast<std::uint8_t>(ids.size());
    std::memcpy(entry.word.data(), word.data(), word.size());
    std::copy(ids.begin(), ids.end(), entry.ids.begin());
  }

 private:
  static constexpr std::size_t kEntries = 8192;  // 512 KB
  static constexpr std::size_t kMaxBytes = 22, kMaxIds = 10;
  struct alignas(64) Entry {  // one cache line
    std::uint8_t bytes = 0, count = 0;
    std::array<char, kMaxBytes> word;
    std::array<std::int32_t, kMaxIds> ids;
  };
  static_assert(sizeof(Entry) == 64);

  template <class T>
  static std::uint64_t load(const char* at) {
    T value;
    std::memcpy(&value, at, sizeof(T));
    return value;
  }

  static std::size_t slot(std::string_view word) {
    const char* begin = word.data();
    const std::size_t size = word.size();
    std::uint64_t low = 0, high = 0;
    if (size >= 8) {  // the loads overlap
      low = load<std::uint64_t>(begin) + (size > 16 ? load<std::uint64_t>(begin + 8) * 0xD6E8FEB86659FD93u : 0);
      high = load<std::uint64_t>(begin + size - 8);
    } else if (size >= 4) {
      low = load<std::uint32_t>(begin);
      high = load<std::uint32_t>(begin + size - 4);
    } else if (size > 0) {
      low = load<std::uint8_t>(begin) | load<std::uint8_t>(begin + size / 2) << 8;
      high = load<std::uint8_t>(begin + size - 1);
    }
    std::uint64_t hash = (low ^ 0x9E3779B97F4A7C15u) * 0xBF58476D1CE4E5B9u + (high + size) * 0x94D049BB133111EBu;
    hash ^= hash >> 32;
    hash *= 0x9E3779B97F4A7C15u;
    return static_cast<std::size_t>(hash >> (64 - 13));
  }

  std::vector<Entry> entries_;
};

}  // namespace fathom::data
