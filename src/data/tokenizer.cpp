#include "data/tokenizer.h"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "base/file.h"
#include "data/append_ids.h"
#include "data/tokenizer_parts.h"
#include "data/utf8.h"
#include "data/word_pieces.h"

namespace fathom::data {
namespace {

constexpr std::array<const char*, 5> kSpecial = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
constexpr int kMinVocabulary = 100, kMaxVocabulary = 1'000'000;
constexpr std::size_t kNoLimit = SIZE_MAX;
constexpr std::uint64_t kMaxFileBytes = 64u << 20;

// Counts each line of `words`.
void count_words(std::string_view words, std::unordered_map<std::string, std::int64_t>& counts) {
  while (!words.empty()) {
    const std::size_t end = words.find('\n');
    ++counts[std::string(words.substr(0, end))];
    words.remove_prefix(end + 1);
  }
}

// The ids of one text without anything around it; stops at `limit` ids in `ids` and returns false if any was left out.
class TextEncoder {
 public:
  TextEncoder(const TokenizerParts& parts, std::size_t limit, EncodeScratch& scratch, std::vector<std::int32_t>& ids)
      : parts_(parts), limit_(limit), scratch_(scratch), ids_(ids) {}

  bool encode(std::string_view text) {
    if (!is_utf8(text)) {
      scratch_.repaired = repair_utf8(text);
      text = scratch_.repaired;
    }
    return parts_.raw_added.each(
        text, [&](std::string_view part) { return encode_part(part); }, [&](std::int32_t id) { return put(id); });
  }

 private:
  bool put(std::int32_t id) { return append_ids({&id, 1}, limit_, ids_); }

  bool encode_part(std::string_view part) {
    if (const auto* pieces = std::get_if<WordPieceModel>(&parts_.model)) {
      if (parts_.normalized_added.empty()) return pieces->encode(part, limit_, scratch_, ids_);
      scratch_.normalized.clear();
      pieces->normalizer().normalize(part, scratch_.normalized);
      return parts_.normalized_added.each(
          scratch_.normalized,
          [&](std::string_view text) { return pieces->encode_normalized(text, limit_, scratch_, ids_); },
          [&](std::int32_t id) { return put(id); });
    }
    const auto& bytes = std::get<BpeModel>(parts_.model);
    return parts_.normalized_added.each(
        part, [&](std::string_view text) { return bytes.encode(text, limit_, scratch_, ids_); },
        [&](std::int32_t id) { return put(id); });
  }

  const TokenizerParts& parts_;
  std::size_t limit_;
  EncodeScratch& scratch_;
  std::vector<std::int32_t>& ids_;
};

std::size_t room_for_text(const std::vector<TemplatePart>& form, int max_tokens) {
  const auto most = static_cast<std::size_t>(std::max(0, max_tokens)), special = SequenceTemplate::special_count(form);
  return most > special ? most - special : 0;
}

// How much of two texts stays in `room` ids: the longer is cut to the shorter's length, then both alike.
std::pair<std::size_t, std::size_t> cut_pair(std::size_t first, std::size_t second, std::size_t room) {
  if (first + second <= room) return {first, second};
  const std::size_t shorter = std::min(first, second);
  std::size_t small = shorter, large = shorter > room ? shorter : std::max(shorter, room - shorter);
  if (small + large > room) {
    small = room / 2;
    large = room - small;
  }
  return first > second ? std::pair{large, small} : std::pair{small, large};
}

}  // namespace

Result<Tokenizer> Tokenizer::train(const std::vector<std::string>& texts, const TokenizerOptions& options) {
  if (options.vocab_size < kMinVocabulary || options.vocab_size > kMaxVocabulary)
    return Error{Code::usage, "vocabulary size " + std::to_string(options.vocab_size) + " is out of range 100..1000000",
                 "8192 suits most data"};
  if (options.min_count < 1)
    return Error{Code::usage, "min_count " + std::to_string(options.min_count) + " must be at least 1", ""};
  const BertNormalizer normalizer{NormalizerOptions{}};
  std::unordered_map<std::string, std::int64_t> counts;
  std::string words;
  for (const std::string& text : texts) {
    words.clear();
    normalizer.split(text, words);
    count_words(words, counts);
  }
  if (counts.empty()) return Error{Code::bad_input, "the training texts hold no words", "check the text column"};
  auto parts = std::make_shared<TokenizerParts>();
  for (std::size_t i = 0; i < kSpecial.size(); ++i) {
    parts->vocabulary.add(kSpecial[i], static_cast<std::int32_t>(i));
    parts->added.push_back(special_token(kSpecial[i], static_cast<std::int32_t>(i)));
  }
  for (std::string& piece :
       learn_pieces(counts, options.vocab_size - static_cast<int>(kSpecial.size()), options.min_count))
    parts->vocabulary.add(std::move(piece), static_cast<std::int32_t>(parts->vocabulary.pieces.size()));
  FATHOM_TRY(auto trie, PieceTrie::make(parts->vocabulary.pieces, parts->vocabulary.ids));
  FATHOM_TRY(parts->model, WordPieceModel::make(std::move(trie), {}));
  const TemplatePart end = special_part("[SEP]", 3);
  parts->form = bert_template(special_part("[CLS]", 2), options.append_sep ? &end : nullptr);
  return TokenizerParts::finish(std::move(parts));
}

Result<Tokenizer> Tokenizer::read(const fs::path& folder) {
  using Kind = TokenizerSettings::Kind;
  FATHOM_TRY(TokenizerSettings settings, read_tokenizer_settings(folder));
  const fs::path json = folder / "tokenizer.json";
  std::error_code ignored;
  const auto has = [&](const char* name) { return fs::exists(folder / name, ignored); };
  const bool plain = settings.kind == Kind::roberta ? has("vocab.json") && has("merges.txt") : has("vocab.txt");
  if (has("tokenizer.json") || !plain) {
    FATHOM_TRY(const std::string text, read_file(json, kMaxFileBytes));
    FATHOM_TRY(auto parts, read_tokenizer_json(text, "'" + json.string() + "'", settings));
    return TokenizerParts::finish(std::move(parts));
  }
  if (settings.kind == Kind::as_written && !settings.name.empty())
    return Error{Code::unsupported,
                 "'" + json.string() + "' is missing, which tokenizer_class '" + settings.name + "' reads alone",
                 "save the tokenizer again"};
  if (settings.kind == Kind::as_written) settings = bert_settings();  // a bare vocab.txt
  FATHOM_TRY(auto parts, read_plain_files(folder, settings));
  return TokenizerParts::finish(std::move(parts));
}

int Tokenizer::vocab_size() const { return parts_->ids_end(); }
int Tokenizer::model_size() const { return parts_->vocabulary.end(); }
std::optional<std::int64_t> Tokenizer::longest() const { return parts_->longest; }
const std::vector<std::string>& Tokenizer::unread() const { return parts_->unread; }
const std::vector<std::string>& Tokenizer::notes() const { return parts_->notes; }

std::vector<std::string> Tokenizer::added_from(int id) const {
  std::vector<std::string> names;
  for (const AddedToken& token : parts_->added)
    if (token.id >= id) names.push_back(token.content);
  return names;
}

std::string Tokenizer::to_json() const { return write_tokenizer_json(*parts_); }

std::string Tokenizer::vocab_text() const {
  std::vector<std::string_view> lines(static_cast<std::size_t>(parts_->ids_end()));
  for (std::size_t i = 0; i < parts_->vocabulary.ids.size(); ++i)
    lines[static_cast<std::size_t>(parts_->vocabulary.ids[i])] = parts_->vocabulary.pieces[i];
  for (const AddedToken& token : parts_->added) lines[static_cast<std::size_t>(token.id)] = token.content;
  std::string text;
  for (const std::string_view line : lines) text.append(line).append("\n");
  return text;
}

bool Tokenizer::encode(std::string_view text, int max_tokens, std::vector<std::int32_t>& ids) const {
  BorrowedScratch scratch(parts_->scratch);
  const std::size_t room = room_for_text(parts_->form.single, max_tokens);
  bool whole = true;
  for (const TemplatePart& part : parts_->form.single) {
    if (part.kind == TemplatePart::Kind::special) {
      ids.insert(ids.end(), part.ids.begin(), part.ids.end());
      continue;
    }
    const std::size_t begin = ids.size();
    whole = TextEncoder(*parts_, parts_->cut_left ? kNoLimit : begin + room, *scratch, ids).encode(text);
    if (ids.size() - begin <= room) continue;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(begin), ids.end() - static_cast<std::ptrdiff_t>(room));
    whole = false;
  }
  return !whole;
}

bool Tokenizer::encode_pair(std::string_view first, std::string_view second, int max_tokens,
                            std::vector<std::int32_t>& ids, std::vector<std::int32_t>& types) const {
  BorrowedScratch borrowed(parts_->scratch);
  EncodeScratch& scratch = *borrowed;
  const std::size_t room = room_for_text(parts_->form.pair, max_tokens);
  scratch.first.clear();
  scratch.second.clear();
  // Whole, however little room there is: which of two long texts is the longer decides which keeps the odd id.
  TextEncoder(*parts_, kNoLimit, scratch, scratch.first).encode(first);
  TextEncoder(*parts_, kNoLimit, scratch, scratch.second).encode(second);
  const auto [keep_first, keep_second] = cut_pair(scratch.first.size(), scratch.second.size(), room);
  const bool cut = keep_first < scratch.first.size() || keep_second < scratch.second.size();
  const auto keep = [&](std::vector<std::int32_t>& list, std::size_t kept) {
    if (parts_->cut_left)
      list.erase(list.begin(), list.end() - static_cast<std::ptrdiff_t>(kept));
    else
      list.resize(kept);
  };
  keep(scratch.first, keep_first);
  keep(scratch.second, keep_second);
  for (const TemplatePart& part : parts_->form.pair) {
    const auto& more = part.kind == TemplatePart::Kind::special ? part.ids
                       : part.kind == TemplatePart::Kind::first ? scratch.first
                                                                : scratch.second;
    ids.insert(ids.end(), more.begin(), more.end());
    types.insert(types.end(), more.size(), part.type);
  }
  return cut;
}

}  // namespace fathom::data
