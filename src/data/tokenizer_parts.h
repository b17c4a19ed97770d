// What a Tokenizer is made of; for the files of this room that make, run, read and write one.
// Thread rule: immutable once made, but for the pool, which any thread may use.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "data/added_tokens.h"
#include "data/bpe_model.h"
#include "data/sequence_template.h"
#include "data/tokenizer.h"
#include "data/tokenizer_settings.h"
#include "data/vocabulary.h"
#include "data/word_piece_model.h"

namespace fathom::data {

struct TokenizerParts {
  Vocabulary vocabulary;  // of the model
  std::variant<std::monostate, WordPieceModel, BpeModel> model;
  std::vector<AddedToken> added;
  AddedTokenFinder raw_added, normalized_added;  // by their flag `normalized`
  SequenceTemplate form;
  bool cut_left = false;                // of a text that is too long its end stays
  std::optional<std::int64_t> longest;  // ids of one input, as the folder has it
  std::vector<std::string> notes, unread;
  mutable ScratchPool scratch;

  // As the Hugging Face library adds them: a token that the model or an earlier one knows keeps that id and gets these
  // flags, others get the next free ids. The ids that a file names for them do not count.
  void add(const PieceIndex& index, const std::vector<AddedToken>& tokens);
  std::int32_t id_of(const PieceIndex& index, const std::string& content) const;  // -1: unknown
  std::int32_t ids_end() const;
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
// "<s> A </s>" and "<s> A </s> </s> B </s>", all of type 0.
SequenceTemplate roberta_template(const TemplatePart& begin, const TemplatePart& end);
TemplatePart special_part(const std::string& name, std::int32_t id, std::int32_t type = 0);

Result<std::shared_ptr<TokenizerParts>> read_tokenizer_json(std::string_view text, const std::string& where,
                                                            const TokenizerSettings& settings);
// Without a tokenizer.json: vocab.txt, or vocab.json and merges.txt, by the settings' kind.
Result<std::shared_ptr<TokenizerParts>> read_plain_files(const fs::path& folder, const TokenizerSettings& settings);
std::string write_tokenizer_json(const TokenizerParts& parts);

// The model that the settings' class makes of a vocabulary and its merges (BERT: none).
Status build_model(TokenizerParts& parts, const PieceIndex& index, const std::vector<BpeModel::Merge>& merges,
                   const TokenizerSettings& settings);
// Added tokens (`written`: tokenizer.json's, by id), and what stands around a text, as that class has it.
Status dress_model(TokenizerParts& parts, const PieceIndex& index,
                   const std::vector<std::pair<std::int64_t, AddedToken>>& written, const TokenizerSettings& settings,
                   const std::string& where);

}  // namespace fathom::data
