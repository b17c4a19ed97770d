// Byte-level BPE as in GPT-2 and RoBERTa: words are bytes, and the neighbouring pair of pieces that was learnt first is
// joined (the leftmost of equals) until none is left. Source: Sennrich et al., arXiv 1508.07909. Thread rule: immutable
// once made; a scratch belongs to one call at a time.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "data/encode_scratch.h"
#include "data/pair_table.h"
#include "data/piece_index.h"
#include "data/piece_trie.h"

namespace fathom::data {

struct BpeOptions {
  bool add_prefix_space = false;  // a text that begins without a space gets one
  bool ignore_merges = false;     // a word that is a piece is not taken apart
  bool fuse_unknown = false;      // unknown bytes side by side make one unknown piece
  std::string unknown;            // of bytes that are no piece; empty: they are dropped
};

class BpeModel {
 public:
  using Merge = std::pair<std::string_view, std::string_view>;
  // `merges` in the order in which they were learnt; of one that stands twice the last counts. Errors: a merge or its
  // result is no piece.
  static Result<BpeModel> make(const Vocabulary& vocabulary, const PieceIndex& index, const std::vector<Merge>& merges,
                               const BpeOptions& options);
  const BpeOptions& options() const { return options_; }
  const std::vector<std::pair<std::int32_t, std::int32_t>>& merges() const { return merges_; }  // as ids

  // Appends the ids of `text` (valid UTF-8); stops at `limit` ids in `ids` and returns false if anything was left out.
  bool encode(std::string_view text, std::size_t limit, EncodeScratch& scratch, std::vector<std::int32_t>& ids) const;

 private:
  BpeModel() = default;
  Status add_merges(const PieceIndex& index, const std::vector<Merge>& merges);
  void split_word(std::string_view word, EncodeScratch& scratch) const;  // into scratch.found
  void join_short(EncodeScratch& scratch) const;
  void join_long(EncodeScratch& scratch) const;
  PairTable::Value join_of(std::int32_t left, std::int32_t right) const { return joins_.find(left, right); }

  BpeOptions options_;
  std::array<std::int32_t, 256> byte_ids_{};
  std::int32_t unknown_ = -1;
  std::vector<std::pair<std::int32_t, std::int32_t>> merges_;
  PairTable joins_;
  PieceTrie whole_;  // pieces as bytes; made only for ignore_merges
};

}  // namespace fathom::data
