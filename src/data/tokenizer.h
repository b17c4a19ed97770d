// WordPiece over BERT's normalizer and pre-tokenizer, trained and applied natively.
// Stored as Hugging Face tokenizer.json (normalizer BertNormalizer, pre_tokenizer BertPreTokenizer,
// model WordPiece, post_processor TemplateProcessing) and vocab.txt beside it.
// Thread rule: immutable once made; encode() may be called from any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "data/normalizer.h"

namespace fathom::data {

struct TokenizerOptions {
  int vocab_size = 8192;   // upper bound, special tokens counted
  int min_count = 2;       // pieces seen less often are not merged
  bool append_sep = true;  // "[CLS] text [SEP]"; false: "[CLS] text"
};

class Tokenizer {
 public:
  // [PAD] [UNK] [CLS] [SEP] [MASK] take ids 0..4.
  static Result<Tokenizer> train(const std::vector<std::string>& texts, const TokenizerOptions& options);
  static Result<Tokenizer> read(const std::filesystem::path& bundle_folder);  // tokenizer.json
  std::string to_json() const;    // tokenizer.json; the same vocabulary gives the same bytes
  std::string vocab_text() const; // vocab.txt

  int vocab_size() const { return static_cast<int>(pieces_.size()); }
  // Appends ids of "[CLS] text [SEP]" (or without [SEP]) cut to max_tokens; returns true if it was cut.
  // The special tokens' names standing in the text become their ids, as in the Hugging Face library.
  // Invalid UTF-8 is read as U+FFFD and dropped, as BERT's clean_text does.
  bool encode(std::string_view text, int max_tokens, std::vector<std::int32_t>& ids) const;

 private:
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };

  friend struct TokenizerJson;  // tokenizer_json.cpp
  Status index();               // ids_ and the special ids from pieces_
  std::int32_t find(std::string_view piece) const;
  // These stop at `limit` ids in `ids` and return false if anything was left out.
  bool encode_text(std::string_view text, std::size_t limit, std::vector<std::int32_t>& ids) const;
  bool encode_word(std::string_view word, std::size_t limit, std::vector<std::int32_t>& ids) const;

  std::vector<std::string> pieces_;
  std::unordered_map<std::string, std::int32_t, TextHash, std::equal_to<>> ids_;
  NormalizerOptions normalizer_;
  std::size_t longest_piece_ = 0;  // bytes
  std::int32_t unknown_ = 1, begin_ = 2, end_ = 3;
  bool append_sep_ = true;
};

}  // namespace fathom::data
