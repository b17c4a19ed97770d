// What a Tokenizer is made of; for the files of this room that make, run, read and write one.
// Thread rule: immutable once made, but for the pool, which any thread may use.
#pragma once

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "data/added_tokens.h"
#include "data/bpe_model.h"
#include "data/sequence_template.h"
#include "data/tokenizer.h"
#include "data/word_piece_model.h"

namespace fathom::data {

struct TokenizerParts {
  std::vector<std::string> pieces;  // by id: the model's, then added tokens that it does not hold
  std::size_t model_pieces = 0;
  std::variant<std::monostate, WordPieceModel, BpeModel> model;
  std::vector<AddedToken> added;
  AddedTokenFinder raw_added, normalized_added;  // by their flag `normalized`
  SequenceTemplate form;
  mutable ScratchPool scratch;

  Status index_added();  // the two finders from `added`
  static Result<Tokenizer> finish(std::shared_ptr<TokenizerParts> parts);
};

// A special token with BERT's flags.
inline AddedToken special_token(std::string content, std::int32_t id) {
  AddedToken token;
  token.content = std::move(content);
  token.id = id;
  token.special = true;
  return token;
}

// "[CLS] A [SEP]" and "[CLS] A [SEP] B [SEP]" with types 0 and 1; without end, "[CLS] A" and "[CLS] A B".
SequenceTemplate bert_template(const TemplatePart& begin, const TemplatePart* end);
TemplatePart special_part(const std::string& name, std::int32_t id, std::int32_t type = 0);

Result<std::shared_ptr<TokenizerParts>> read_tokenizer_json(std::string_view text, const std::string& where);
// BERT's vocabulary, one piece a line, with the settings of tokenizer_config.json ("" for none).
Result<std::shared_ptr<TokenizerParts>> read_vocab_text(std::string_view text, std::string_view config,
                                                        const std::string& where, const std::string& config_where);
std::string write_tokenizer_json(const TokenizerParts& parts);

}  // namespace fathom::data
