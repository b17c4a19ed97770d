// What a checkpoint's folder says of its tokenizer outside tokenizer.json: tokenizer_config.json,
// special_tokens_map.json, added_tokens.json and config.json's tokenizer_class and model_type, resolved as transformers
// 5 resolves them. Its BertTokenizer and RobertaTokenizer take no more than vocabulary, merges and added tokens from
// tokenizer.json: what happens to a text is what tokenizer_config.json says, or their defaults. Classes that we do not
// compute are refused by name. Thread rule: plain values; pure functions.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "data/added_tokens.h"
#include "data/normalizer.h"

namespace fathom::data {

struct TokenizerSettings {
  enum class Kind { as_written, bert, roberta };  // as_written: tokenizer.json says everything
  struct Named {
    std::string role;  // "cls_token", ...; "" of extra ones
    AddedToken token;
  };

  Kind kind = Kind::as_written;
  std::string name;              // of the class; "" if nothing names one
  NormalizerOptions normalizer;  // bert
  bool add_prefix_space = false;
  std::optional<bool> wants_lower_case, wants_prefix_space;  // as the file has them
  std::optional<bool> types;                                 // whether pairs have token types; empty: as written
  std::optional<bool> cut_left;
  std::optional<std::int64_t> longest;  // ids of one input
  std::vector<Named> named;             // [UNK], [SEP], ... and then extra ones
  std::map<std::int64_t, AddedToken> added;
  bool added_are_all = false;  // those of tokenizer.json do not count
  std::vector<std::string> notes, unread;

  const AddedToken* role(std::string_view role) const;
};

// An absent file says nothing; nothing at all leaves the settings as they are above. Errors: unsupported,
// corrupt_bundle.
Result<TokenizerSettings> read_tokenizer_settings(const fs::path& folder);

// Of a vocab.txt that stands alone: BertTokenizer's defaults.
TokenizerSettings bert_settings();

// What is added to a tokenizer that knows `there` already, in order. `written`: tokenizer.json's own, by id.
std::vector<AddedToken> tokens_to_add(const TokenizerSettings& settings,
                                      const std::vector<std::pair<std::int64_t, AddedToken>>& written,
                                      const std::vector<AddedToken>& there);

}  // namespace fathom::data
