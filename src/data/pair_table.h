// A flat hash table from a pair of ids to the rank and the id of what they become. Made once, then only read.
// Thread rule: as a standard container.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

namespace fathom::data {

class PairTable {
 public:
  static constexpr std::uint32_t kNoRank = UINT32_MAX;
  struct Value {
    std::uint32_t rank = kNoRank;
    std::int32_t id = -1;
  };

  void reserve(std::size_t count) {  // before the first add
    slots_.assign(std::bit_ceil(count * 2 + 2), {});
    shift_ = 64 - std::countr_zero(slots_.size());
  }
  // False if the pair is there already.
  bool add(std::int32_t left, std::int32_t right, Value value) {
    const std::uint64_t key = key_of(left, right);
    std::size_t at = place(key);
    for (; slots_[at].key != kEmpty; at = (at + 1) & (slots_.size() - 1))
      if (slots_[at].key == key) return false;
    slots_[at] = {key, value};
    return true;
  }
  Value find(std::int32_t left, std::int32_t right) const {
    const std::uint64_t key = key_of(left, right);
    for (std::size_t at = place(key);; at = (at + 1) & (slots_.size() - 1)) {
      if (slots_[at].key == key) return slots_[at].value;
      if (slots_[at].key == kEmpty) return {};
    }
  }

 private:
  static constexpr std::uint64_t kEmpty = UINT64_MAX;  // no pair: ids are not negative
  struct Slot {
    std::uint64_t key = kEmpty;
    Value value;
  };
  static std::uint64_t key_of(std::int32_t left, std::int32_t right) {
    return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 | static_cast<std::uint32_t>(right);
  }
  std::size_t place(std::uint64_t key) const {
    key ^= key >> 29;
    return static_cast<std::size_t>((key * 0x9E3779B97F4A7C15u) >> shift_);
  }

  std::vector<Slot> slots_;
  int shift_ = 63;
};

}  // namespace fathom::data
