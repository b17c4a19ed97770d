// Tokenizers of the BERT family (WordPiece over BERT's normalizer: BERT, DistilBERT, MiniLM) and of RoBERTa (byte-level
// BPE), trained (WordPiece), read and applied natively. Files: Hugging Face tokenizer.json, or a bare vocab.txt of
// BERT's kind. Every component of a file is checked by name; one that is not computed here is refused, never skipped.
// The ids are those of the Hugging Face library `tokenizers` (tests/parity/tokenizer_reference.py). Thread rule:
// immutable once made, copies share everything; encode() may be called from any thread. A call with a warm `ids`
// allocates nothing but in rare texts.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace fathom::data {

struct TokenizerParts;

struct TokenizerOptions {
  int vocab_size = 8192;   // upper bound, special tokens counted
  int min_count = 2;       // pieces seen less often are not merged
  bool append_sep = true;  // "[CLS] text [SEP]"; false: "[CLS] text"
};

class Tokenizer {
 public:
  // [PAD] [UNK] [CLS] [SEP] [MASK] take ids 0..4.
  static Result<Tokenizer> train(const std::vector<std::string>& texts, const TokenizerOptions& options);
  // tokenizer.json, or vocab.txt, or vocab.json and merges.txt, with what the folder's other files say of them
  // (tokenizer_settings.h): as transformers 5 reads the folder.
  static Result<Tokenizer> read(const std::filesystem::path& folder);
  std::string to_json() const;     // tokenizer.json; the same vocabulary gives the same bytes
  std::string vocab_text() const;  // vocab.txt: the pieces in the order of their ids

  int vocab_size() const;                             // one more than the largest id, added tokens counted
  int model_size() const;                             // the same without added tokens
  std::vector<std::string> added_from(int id) const;  // added tokens with this id or a larger one
  std::optional<std::int64_t> longest() const;        // the most ids of one input that the folder allows
  const std::vector<std::string>& unread() const;     // keys that are neither used nor known to say nothing
  const std::vector<std::string>& notes() const;      // for people: what was passed over, and what differs
  // Appends the ids of one text with the special tokens around it, cut to max_tokens (the special tokens counted, and
  // never left out), at its end or, where the folder says so, at its beginning; returns true if it was cut. The length
  // and the padding that a file asks for are not obeyed: the caller gives the length. Added tokens' names standing in
  // the text become their ids, as in the Hugging Face library. A byte sequence that is not UTF-8 is read as U+FFFD
  // (utf8.h), which BERT's clean_text drops.
  bool encode(std::string_view text, int max_tokens, std::vector<std::int32_t>& ids) const;
  // Two texts as one input, with the token type of every id. Too long, the longer of the two is cut first
  // ("longest first" of the Hugging Face library).
  bool encode_pair(std::string_view first, std::string_view second, int max_tokens, std::vector<std::int32_t>& ids,
                   std::vector<std::int32_t>& types) const;

 private:
  friend struct TokenizerParts;
  explicit Tokenizer(std::shared_ptr<const TokenizerParts> parts) : parts_(std::move(parts)) {}
  std::shared_ptr<const TokenizerParts> parts_;
};

}  // namespace fathom::data
