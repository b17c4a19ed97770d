// A flat hash table from a piece to its id; a piece may be asked for in two parts, so that a merge's result is found
// without being put together. Made once, then only read; it points to the vocabulary, which must stay where it is.
// Thread rule: as a standard container.
#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "data/vocabulary.h"

namespace fathom::data {

class PieceIndex {
 public:
  PieceIndex() = default;
  // Empty pieces are left out. Errors: a list made so that its hashes collide.
  static Result<PieceIndex> make(const Vocabulary& vocabulary) {
    PieceIndex index;
    index.vocabulary_ = &vocabulary;
    const std::vector<std::string>& pieces = vocabulary.pieces;
    index.slots_.assign(std::bit_ceil(pieces.size() * 2 + 2), {});
    bool empty = false;
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      empty = empty || pieces[i].empty();
      if (pieces[i].empty()) continue;
      const std::uint64_t hash = hash_of(kStart, pieces[i]);
      const std::size_t at = index.slot(hash, pieces[i], {});
      if (at == kNowhere)
        return Error{Code::limit, "vocabulary: too many pieces collide", "the file is not a real vocabulary"};
      index.count_ += index.slots_[at].place < 0 ? 1 : 0;
      index.slots_[at] = {tag_of(hash), static_cast<std::int32_t>(i)};
    }
    index.count_ += empty ? 1 : 0;
    return index;
  }
  std::int32_t count() const { return count_; }  // pieces that differ

  std::int32_t find(std::string_view piece) const { return find(piece, {}); }  // -1: not in the vocabulary
  std::int32_t find(std::string_view left, std::string_view right) const {     // of left + right
    if (slots_.empty()) return -1;
    const std::size_t at = slot(hash_of(hash_of(kStart, left), right), left, right);
    const std::int32_t place = at == kNowhere ? -1 : slots_[at].place;
    return place < 0 ? -1 : vocabulary_->ids[static_cast<std::size_t>(place)];
  }

 private:
  static constexpr std::uint64_t kStart = 0xCBF29CE484222325u;  // FNV-1a: byte by byte, so that two parts hash as one
  static constexpr std::size_t kNowhere = SIZE_MAX;
  static constexpr std::size_t kMostSteps = 1024;  // half-empty and well mixed, a real vocabulary takes a few dozen
  struct Slot {
    std::uint32_t tag = 0;
    std::int32_t place = -1;  // in the vocabulary
  };
  static std::uint64_t hash_of(std::uint64_t hash, std::string_view text) {
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
    return hash;
  }
  static std::uint32_t tag_of(std::uint64_t hash) { return static_cast<std::uint32_t>(hash >> 32); }
  bool is(std::int32_t place, std::string_view left, std::string_view right) const {
    const std::string_view piece = vocabulary_->pieces[static_cast<std::size_t>(place)];
    return piece.size() == left.size() + right.size() && piece.starts_with(left) && piece.ends_with(right);
  }
  // The slot that holds the piece, or the empty one where it would be.
  std::size_t slot(std::uint64_t hash, std::string_view left, std::string_view right) const {
    const std::size_t mask = slots_.size() - 1;
    std::size_t at = ((hash ^ hash >> 32) * 0x9E3779B97F4A7C15u >> 24) & mask;
    for (std::size_t step = 0; step < kMostSteps; ++step, at = (at + 1) & mask)
      if (slots_[at].place < 0 || (slots_[at].tag == tag_of(hash) && is(slots_[at].place, left, right))) return at;
    return kNowhere;
  }

  const Vocabulary* vocabulary_ = nullptr;
  std::vector<Slot> slots_;
  std::int32_t count_ = 0;
};

}  // namespace fathom::data
