// WordPiece: a word becomes the longest piece that it begins with, then the longest continuing piece ("##..."), and so
// on; one part unknown makes the whole word unknown. Source: Wu et al., arXiv 1609.08144; BERT's greedy form. Thread
// rule: immutable once made; a scratch belongs to one call at a time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "data/encode_scratch.h"
#include "data/normalizer.h"
#include "data/piece_trie.h"

namespace fathom::data {

struct WordPieceOptions {
  std::string unknown = "[UNK]";
  std::string prefix = "##";               // of pieces that continue a word
  std::int64_t max_word_characters = 100;  // a longer word is unknown
  NormalizerOptions normalizer;
};

class WordPieceModel {
 public:
  // Errors: the unknown piece is not in the vocabulary.
  static Result<WordPieceModel> make(PieceTrie pieces, const WordPieceOptions& options);
  const WordPieceOptions& options() const { return options_; }
  const BertNormalizer& normalizer() const { return normalizer_; }

  // Appends the ids of `text` (valid UTF-8); stops at `limit` ids in `ids` and returns false if anything was left out.
  bool encode(std::string_view text, std::size_t limit, EncodeScratch& scratch, std::vector<std::int32_t>& ids) const;
  // The same for text that the normalizer has been over.
  bool encode_normalized(std::string_view text, std::size_t limit, EncodeScratch& scratch,
                         std::vector<std::int32_t>& ids) const;

 private:
  WordPieceModel(PieceTrie pieces, const WordPieceOptions& options);
  bool encode_words(std::string_view words, std::size_t limit, EncodeScratch& scratch,
                    std::vector<std::int32_t>& ids) const;
  void split_word(std::string_view word, std::vector<std::int32_t>& found) const;

  PieceTrie pieces_;
  WordPieceOptions options_;
  BertNormalizer normalizer_, splitter_;
  std::uint32_t continuing_ = 0;  // the prefix's node
  bool has_continuing_ = true;
  std::int32_t unknown_ = 0;
};

}  // namespace fathom::data
