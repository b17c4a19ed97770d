#include "data/word_piece_model.h"

#include <algorithm>

#include "data/append_ids.h"

namespace fathom::data {

WordPieceModel::WordPieceModel(PieceTrie pieces, const WordPieceOptions& options)
    : pieces_(std::move(pieces)),
      options_(options),
      normalizer_(options.normalizer),
      splitter_(NormalizerOptions::none()) {}

Result<WordPieceModel> WordPieceModel::make(PieceTrie pieces, const WordPieceOptions& options) {
  WordPieceModel model(std::move(pieces), options);
  model.unknown_ = model.pieces_.find(options.unknown);
  if (model.unknown_ < 0) return Error{Code::corrupt_bundle, "vocabulary: '" + options.unknown + "' is missing", ""};
  model.continuing_ = model.pieces_.walk(0, options.prefix);
  model.has_continuing_ = options.prefix.empty() || model.continuing_ != PieceTrie::kNowhere;
  return model;
}

bool WordPieceModel::encode(std::string_view text, std::size_t limit, EncodeScratch& scratch,
                            std::vector<std::int32_t>& ids) const {
  scratch.words.clear();
  normalizer_.split(text, scratch.words);
  return encode_words(scratch.words, limit, scratch, ids);
}

bool WordPieceModel::encode_normalized(std::string_view text, std::size_t limit, EncodeScratch& scratch,
                                       std::vector<std::int32_t>& ids) const {
  scratch.words.clear();
  splitter_.split(text, scratch.words);
  return encode_words(scratch.words, limit, scratch, ids);
}

bool WordPieceModel::encode_words(std::string_view words, std::size_t limit, EncodeScratch& scratch,
                                  std::vector<std::int32_t>& ids) const {
  while (!words.empty()) {
    const std::string_view word = words.substr(0, words.find('\n'));
    words.remove_prefix(word.size() + 1);
    std::span<const std::int32_t> known = scratch.cache.find(word);
    if (known.empty()) {
      scratch.found.clear();
      split_word(word, scratch.found);
      scratch.cache.put(word, scratch.found);
      known = scratch.found;
    }
    if (!append_ids(known, limit, ids)) return false;
  }
  return true;
}

void WordPieceModel::split_word(std::string_view word, std::vector<std::int32_t>& found) const {
  const auto characters =
      std::count_if(word.begin(), word.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
  for (std::size_t at = 0; at < word.size() && characters <= options_.max_word_characters;) {
    PieceTrie::Match match;
    if (at == 0 || has_continuing_) match = pieces_.longest(at == 0 ? 0 : continuing_, word.substr(at));
    if (match.id < 0) {
      found.clear();
      break;
    }
    found.push_back(match.id);
    at += match.bytes;
  }
  if (found.empty()) found.push_back(unknown_);  // a part is unknown, or the word is too long
}

}  // namespace fathom::data
