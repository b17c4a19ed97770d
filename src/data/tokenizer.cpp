#include "data/tokenizer.h"

#include <algorithm>
#include <array>

#include "data/word_pieces.h"

namespace fathom::data {
namespace {

constexpr std::array<const char*, 5> kSpecial = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
constexpr std::size_t kMaxWordCharacters = 100;
constexpr int kMinVocabulary = 100, kMaxVocabulary = 1'000'000;

bool continues_character(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

// The special token standing at text[at], or nullptr.
const char* special_at(std::string_view text, std::size_t at) {
  for (const char* special : kSpecial)
    if (text.substr(at).starts_with(special)) return special;
  return nullptr;
}

// Calls use(word) for each line of `words`; stops when it returns false.
template <class Use>
bool each_word(std::string_view words, const Use& use) {
  while (!words.empty()) {
    const std::size_t end = words.find('\n');
    if (!use(words.substr(0, end))) return false;
    words.remove_prefix(end + 1);
  }
  return true;
}

}  // namespace

Result<Tokenizer> Tokenizer::train(const std::vector<std::string>& texts, const TokenizerOptions& options) {
  if (options.vocab_size < kMinVocabulary || options.vocab_size > kMaxVocabulary)
    return Error{Code::usage, "vocabulary size " + std::to_string(options.vocab_size) + " is out of range 100..1000000", "8192 suits most data"};
  if (options.min_count < 1) return Error{Code::usage, "min_count " + std::to_string(options.min_count) + " must be at least 1", ""};
  Tokenizer tokenizer;
  tokenizer.append_sep_ = options.append_sep;
  std::unordered_map<std::string, std::int64_t> counts;
  std::string words;
  for (const std::string& text : texts) {
    words.clear();
    split_words(text, tokenizer.normalizer_, words);
    each_word(words, [&](std::string_view word) { return ++counts[std::string(word)] > 0; });
  }
  if (counts.empty()) return Error{Code::bad_input, "the training texts hold no words", "check the text column"};
  tokenizer.pieces_.assign(kSpecial.begin(), kSpecial.end());
  for (std::string& piece : learn_pieces(counts, options.vocab_size - static_cast<int>(kSpecial.size()), options.min_count))
    tokenizer.pieces_.push_back(std::move(piece));
  FATHOM_TRY_VOID(tokenizer.index());
  return tokenizer;
}

Status Tokenizer::index() {
  ids_.clear();
  longest_piece_ = 0;
  for (std::size_t i = 0; i < pieces_.size(); ++i) {
    if (!ids_.try_emplace(pieces_[i], static_cast<std::int32_t>(i)).second)
      return Error{Code::corrupt_bundle, "vocabulary: piece '" + pieces_[i] + "' stands twice", ""};
    longest_piece_ = std::max(longest_piece_, pieces_[i].size());
  }
  for (const auto& [name, id] : {std::pair{kSpecial[1], &unknown_}, std::pair{kSpecial[2], &begin_}, std::pair{kSpecial[3], &end_}}) {
    *id = find(name);
    if (*id < 0) return Error{Code::corrupt_bundle, std::string("vocabulary: '") + name + "' is missing", ""};
  }
  return {};
}

std::int32_t Tokenizer::find(std::string_view piece) const {
  const auto found = ids_.find(piece);
  return found == ids_.end() ? -1 : found->second;
}

bool Tokenizer::encode(std::string_view text, int max_tokens, std::vector<std::int32_t>& ids) const {
  const int special = append_sep_ ? 2 : 1;
  const std::size_t limit = ids.size() + 1 + static_cast<std::size_t>(std::max(0, max_tokens - special));
  ids.push_back(begin_);
  bool whole = true;
  std::size_t start = 0;
  for (std::size_t at = text.find('['); whole && at != std::string_view::npos; at = text.find('[', at + 1)) {
    const char* name = special_at(text, at);
    const std::int32_t id = name == nullptr ? -1 : find(name);
    if (id < 0) continue;
    whole = encode_text(text.substr(start, at - start), limit, ids);
    if (whole && ids.size() == limit) whole = false;
    if (whole) ids.push_back(id);
    at += std::string_view(name).size() - 1;
    start = at + 1;
  }
  if (whole) whole = encode_text(text.substr(start), limit, ids);
  if (append_sep_) ids.push_back(end_);
  return !whole;
}

bool Tokenizer::encode_text(std::string_view text, std::size_t limit, std::vector<std::int32_t>& ids) const {
  std::string words;
  words.reserve(text.size() + text.size() / 4 + 1);
  split_words(text, normalizer_, words);
  return each_word(words, [&](std::string_view word) { return encode_word(word, limit, ids); });
}

bool Tokenizer::encode_word(std::string_view word, std::size_t limit, std::vector<std::int32_t>& ids) const {
  const auto characters = static_cast<std::size_t>(std::count_if(word.begin(), word.end(), [](char c) { return !continues_character(c); }));
  std::vector<std::int32_t> found;
  std::string rest;
  for (std::size_t start = 0; start < word.size() && characters <= kMaxWordCharacters;) {
    const std::size_t prefix = start == 0 ? 0 : 2;
    rest.assign(prefix, '#');
    rest.append(word.substr(start, longest_piece_));
    std::size_t end = rest.size();
    std::int32_t id = -1;
    for (; end > prefix; --end) {
      if (start + end - prefix < word.size() && continues_character(word[start + end - prefix])) continue;  // inside a character
      id = find(std::string_view(rest).substr(0, end));
      if (id >= 0) break;
    }
    if (id < 0) {
      found.clear();
      break;
    }
    found.push_back(id);
    start += end - prefix;
  }
  if (found.empty()) found.push_back(unknown_);  // a part is unknown, or the word is too long
  const std::size_t room = limit - ids.size(), kept = std::min(room, found.size());
  ids.insert(ids.end(), found.begin(), found.begin() + static_cast<std::ptrdiff_t>(kept));
  return kept == found.size();
}

}  // namespace fathom::data
