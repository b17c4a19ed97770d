// Tokenizers as transformers 5's BertTokenizer and RobertaTokenizer make them: the model from a vocabulary (and merges)
// and the settings, then added tokens and what stands around a text. Also their plain files, without a tokenizer.json.
#include <algorithm>

#include "data/json_events.h"
#include "data/tokenizer_file.h"
#include "data/tokenizer_parts.h"
#include "data/unicode_table.h"
#include "data/utf8.h"

namespace fathom::data {
namespace {

constexpr std::uint64_t kMaxFileBytes = 64u << 20;
constexpr std::size_t kMaxPieces = 2'000'000;

using Kind = TokenizerSettings::Kind;

// vocab.json: {"piece": id, ...}.
class PieceList : private JsonHandler {
 public:
  Result<Vocabulary> read(std::string_view file, const std::string& where) {
    const auto broken = read_json_events(file, *this);
    if (broken) return damaged_file(where, "not valid JSON at byte " + std::to_string(*broken));
    if (!fault_.empty()) return damaged_file(where, fault_);
    return std::move(out_);
  }

 private:
  bool fault(const std::string& what) {
    fault_ = what;
    return false;
  }
  bool other() { return fault(depth_ == 0 ? "not a JSON object" : "the id of '" + piece_ + "' is no id of a token"); }
  bool null() override { return other(); }
  bool boolean(bool) override { return other(); }
  bool integer(std::int64_t) override { return other(); }
  bool natural(std::uint64_t number) override {
    if (depth_ == 0 || number >= static_cast<std::uint64_t>(kMostIds)) return other();
    if (out_.pieces.size() == kMaxPieces) return fault("more than 2000000 pieces");
    out_.add(piece_, static_cast<std::int32_t>(number));
    return true;
  }
  bool real(double) override { return other(); }
  bool text(std::string_view) override { return other(); }
  bool key(std::string_view name) override {
    piece_ = name;
    return true;
  }
  bool open_object() override { return depth_++ == 0 || other(); }
  bool open_list() override { return other(); }
  bool close() override { return true; }

  Vocabulary out_;
  std::string piece_, fault_;
  int depth_ = 0;
};

Result<std::string> read_text(const fs::path& path, std::string& where) {
  where = "'" + path.string() + "'";
  FATHOM_TRY(std::string text, read_file(path, kMaxFileBytes));
  if (!is_utf8(text)) return damaged_file(where, "not UTF-8");
  return text;
}

// A line without the white space at its end.
std::string_view trimmed(std::string_view line) {
  while (!line.empty()) {
    std::size_t begin = line.size() - 1, at = 0;
    while (begin > 0 && (static_cast<unsigned char>(line[begin]) & 0xC0) == 0x80) --begin;
    if (!is_space(next_code_point(line.substr(begin), at))) break;
    line.remove_suffix(line.size() - begin);
  }
  return line;
}

// One piece a line, its id the line's number from 0.
Result<Vocabulary> read_lines(std::string_view text, const std::string& where) {
  Vocabulary out;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (out.pieces.size() == kMaxPieces) return Error{Code::limit, where + ": more than 2000000 pieces", ""};
    out.add(std::string(trimmed(line)), static_cast<std::int32_t>(out.pieces.size()));
  }
  if (out.pieces.empty()) return damaged_file(where, "holds no piece");
  return out;
}

Result<std::vector<BpeModel::Merge>> read_merges(std::string_view text, const std::string& where) {
  std::vector<BpeModel::Merge> out;
  for (std::size_t number = 1; !text.empty(); ++number) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.starts_with("#version")) continue;
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos)
      return damaged_file(where, "line " + std::to_string(number) + " is not two pieces with a space between");
    out.emplace_back(line.substr(0, space), line.substr(space + 1));
  }
  return out;
}

Result<TemplatePart> end_part(const TokenizerParts& parts, const PieceIndex& index, const TokenizerSettings& settings,
                              const char* role, const std::string& where) {
  const AddedToken* token = settings.role(role);
  if (token == nullptr) return damaged_file(where, std::string("'") + role + "' is null");
  const bool only_named = index.find(token->content) < 0 &&
                          std::none_of(settings.added.begin(), settings.added.end(),
                                       [&](const auto& one) { return one.second.content == token->content; });
  const std::int32_t id = parts.id_of(index, token->content);
  if (id < 0 || only_named) return damaged_file(where, "'" + token->content + "' is missing");
  return special_part(token->content, id);
}

// The token type of a single text's ids: the engine takes it to be 0.
Status check_single_types(const SequenceTemplate& form, const std::string& where) {
  for (const TemplatePart& part : form.single)
    if (part.type != 0)
      return refuse_component(
          where,
          "post_processor: its template gives a single text token type " + std::to_string(part.type) + " (expected 0)",
          "");
  return {};
}

}  // namespace

Status build_model(TokenizerParts& parts, const PieceIndex& index, const std::vector<BpeModel::Merge>& merges,
                   const TokenizerSettings& settings) {
  if (settings.kind == Kind::roberta) {
    BpeOptions options;
    options.add_prefix_space = settings.add_prefix_space;
    FATHOM_TRY(parts.model, BpeModel::make(parts.vocabulary, index, merges, options));
    return {};
  }
  WordPieceOptions options;
  options.normalizer = settings.normalizer;
  const AddedToken* unknown = settings.role("unk_token");
  if (unknown == nullptr) return Error{Code::unsupported, "'unk_token' is null", ""};
  options.unknown = unknown->content;
  FATHOM_TRY(auto trie, PieceTrie::make(parts.vocabulary.pieces, parts.vocabulary.ids));
  FATHOM_TRY(parts.model, WordPieceModel::make(std::move(trie), options));
  return {};
}

Status dress_model(TokenizerParts& parts, const PieceIndex& index,
                   const std::vector<std::pair<std::int64_t, AddedToken>>& written, const TokenizerSettings& settings,
                   const std::string& where) {
  parts.add(index, tokens_to_add(settings, written, parts.added));
  if (settings.kind != Kind::as_written) {
    TokenizerSettings known = settings;
    if (!settings.added_are_all)
      for (const auto& [id, token] : written) known.added[id] = token;
    FATHOM_TRY(const TemplatePart begin, end_part(parts, index, known, "cls_token", where));
    FATHOM_TRY(const TemplatePart end, end_part(parts, index, known, "sep_token", where));
    parts.form = settings.kind == Kind::roberta ? roberta_template(begin, end) : bert_template(begin, &end);
  }
  if (!settings.types.value_or(true))
    for (auto* form : {&parts.form.single, &parts.form.pair})
      for (TemplatePart& part : *form) part.type = 0;
  FATHOM_TRY_VOID(check_single_types(parts.form, where));
  parts.cut_left = settings.cut_left.value_or(parts.cut_left);
  parts.longest = settings.longest;
  parts.unread = settings.unread;
  parts.notes.insert(parts.notes.end(), settings.notes.begin(), settings.notes.end());
  return {};
}

Result<std::shared_ptr<TokenizerParts>> read_plain_files(const fs::path& folder, const TokenizerSettings& settings) {
  auto parts = std::make_shared<TokenizerParts>();
  std::string where, merges_where, merge_text;
  std::vector<BpeModel::Merge> merges;
  if (settings.kind == Kind::roberta) {
    FATHOM_TRY(const std::string pieces, read_text(folder / "vocab.json", where));
    FATHOM_TRY(parts->vocabulary, PieceList().read(pieces, where));
    FATHOM_TRY(merge_text, read_text(folder / "merges.txt", merges_where));
    FATHOM_TRY(merges, read_merges(merge_text, merges_where));
  } else {
    FATHOM_TRY(const std::string pieces, read_text(folder / "vocab.txt", where));
    FATHOM_TRY(parts->vocabulary, read_lines(pieces, where));
  }
  FATHOM_TRY(const PieceIndex index, PieceIndex::make(parts->vocabulary));
  const Status built = build_model(*parts, index, merges, settings);
  if (!built.has_value()) return built.error().within(merges.empty() ? where : merges_where);
  FATHOM_TRY_VOID(dress_model(*parts, index, {}, settings, where));
  return parts;
}

}  // namespace fathom::data
