// From a tokenizer to tokenizer.json. What stands around a text is written as TemplateProcessing, whatever it was read
// from: the ids are the same.
#include <algorithm>
#include <string_view>
#include <unordered_map>

#include "base/json.h"
#include "data/tokenizer_parts.h"

namespace fathom::data {
namespace {

Json added_tokens(const TokenizerParts& parts) {
  std::vector<AddedToken> tokens = parts.added;
  std::sort(tokens.begin(), tokens.end(), [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
  Json list = Json::array();
  for (const AddedToken& token : tokens)
    list.push_back({{"id", token.id},
                    {"content", token.content},
                    {"single_word", token.single_word},
                    {"lstrip", token.lstrip},
                    {"rstrip", token.rstrip},
                    {"normalized", token.normalized},
                    {"special", token.special}});
  return list;
}

Json normalizer(const TokenizerParts& parts) {
  const auto* pieces = std::get_if<WordPieceModel>(&parts.model);
  if (pieces == nullptr || pieces->options().normalizer == NormalizerOptions::none()) return nullptr;
  const NormalizerOptions& n = pieces->options().normalizer;
  return {{"type", "BertNormalizer"},
          {"clean_text", n.clean_text},
          {"handle_chinese_chars", n.handle_chinese_chars},
          {"strip_accents", n.strip_accents == n.lowercase ? Json(nullptr) : Json(n.strip_accents)},
          {"lowercase", n.lowercase}};
}

Json template_items(const std::vector<TemplatePart>& form, Json& special) {
  Json items = Json::array();
  for (const TemplatePart& part : form) {
    const bool fixed = part.kind == TemplatePart::Kind::special;
    const std::string id = fixed ? part.name : part.kind == TemplatePart::Kind::first ? "A" : "B";
    items.push_back({{fixed ? "SpecialToken" : "Sequence", {{"id", id}, {"type_id", part.type}}}});
    if (fixed) special[part.name] = {{"id", part.name}, {"ids", part.ids}, {"tokens", part.tokens}};
  }
  return items;
}

Json post_processor(const TokenizerParts& parts) {
  Json special = Json::object();
  const Json single = template_items(parts.form.single, special), pair = template_items(parts.form.pair, special);
  return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", special}};
}

// Each piece once, with the id that counts.
Json vocabulary(const TokenizerParts& parts) {
  const Vocabulary& all = parts.vocabulary;
  std::unordered_map<std::string_view, std::int32_t> last;
  for (std::size_t i = 0; i < all.pieces.size(); ++i) last[all.pieces[i]] = all.ids[i];
  Json json = Json::object();
  Json::object_t& pieces = json.get_ref<Json::object_t&>();
  for (const std::string& piece : all.pieces) {
    const auto one = last.find(piece);
    if (one == last.end()) continue;
    pieces.Container::emplace_back(piece, one->second);
    last.erase(one);
  }
  return json;
}

Json word_piece(const WordPieceOptions& options) {
  return {{"type", "WordPiece"},
          {"unk_token", options.unknown},
          {"continuing_subword_prefix", options.prefix},
          {"max_input_chars_per_word", options.max_word_characters}};
}

Json bpe(const BpeOptions& options) {
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", options.unknown.empty() ? Json(nullptr) : Json(options.unknown)},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", options.fuse_unknown},
          {"byte_fallback", false},
          {"ignore_merges", options.ignore_merges}};
}

Json merges(const TokenizerParts& parts, const BpeModel& model) {
  std::unordered_map<std::int32_t, std::string_view> piece;
  for (std::size_t i = 0; i < parts.vocabulary.ids.size(); ++i)
    piece[parts.vocabulary.ids[i]] = parts.vocabulary.pieces[i];
  Json list = Json::array();
  for (const auto& [left, right] : model.merges()) list.push_back(Json::array({piece.at(left), piece.at(right)}));
  return list;
}

}  // namespace

std::string write_tokenizer_json(const TokenizerParts& parts) {
  const auto* bytes = std::get_if<BpeModel>(&parts.model);
  Json root;
  root["version"] = "1.0";
  root["truncation"] = nullptr;
  if (parts.cut_left)
    root["truncation"] = {{"direction", "Left"},
                          {"max_length", parts.longest.value_or(512)},
                          {"strategy", "LongestFirst"},
                          {"stride", 0}};
  root["padding"] = nullptr;
  root["added_tokens"] = added_tokens(parts);
  root["normalizer"] = normalizer(parts);
  root["pre_tokenizer"] = {{"type", "BertPreTokenizer"}};
  if (bytes != nullptr)
    root["pre_tokenizer"] = {{"type", "ByteLevel"},
                             {"add_prefix_space", bytes->options().add_prefix_space},
                             {"trim_offsets", true},
                             {"use_regex", true}};
  root["post_processor"] = post_processor(parts);
  root["decoder"] = {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}};
  if (bytes != nullptr)
    root["decoder"] = {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}, {"use_regex", true}};
  root["model"] =
      bytes != nullptr ? bpe(bytes->options()) : word_piece(std::get<WordPieceModel>(parts.model).options());
  root["model"]["vocab"] = vocabulary(parts);
  if (bytes != nullptr) root["model"]["merges"] = merges(parts, *bytes);
  return root.dump(1) + "\n";
}

}  // namespace fathom::data
