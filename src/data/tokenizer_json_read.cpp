// From tokenizer.json to a tokenizer. Every component is checked by name: one that we do not compute is refused, never
// skipped. truncation (but for its direction) and padding are not read: the caller gives the length, and batches are
// not padded. The decoder is only checked: it has no say in the ids.
#include <algorithm>
#include <array>
#include <set>

#include "data/piece_index.h"
#include "data/tokenizer_file.h"
#include "data/tokenizer_parts.h"

namespace fathom::data {
namespace {

constexpr std::int64_t kMaxPieces = 2'000'000;
constexpr std::size_t kMaxTemplateParts = 64;
constexpr const char* kFamilies =
    "WordPiece over BertNormalizer and BertPreTokenizer (BERT, DistilBERT, MiniLM) and BPE over ByteLevel (RoBERTa) "
    "are read";

class Reader {
 public:
  Reader(const Json& root, TokenizerFile& file, const std::string& where)
      : root_(root), file_(file), where_(where), parts_(std::make_shared<TokenizerParts>()) {}

  Result<std::shared_ptr<TokenizerParts>> read() {
    if (!root_.is_object()) return damaged("not a JSON object");
    FATHOM_TRY_VOID(check_names());
    FATHOM_TRY(const std::string model, type_of("model"));
    if (model != "WordPiece" && model != "BPE")
      return refuse("model '" + model + "' is not supported (expected WordPiece or BPE)");
    word_piece_ = model == "WordPiece";
    FATHOM_TRY_VOID(check_rest());
    FATHOM_TRY_VOID(read_vocabulary());
    auto made = word_piece_ ? make_word_piece() : make_bpe();
    if (!made.has_value()) return made.error().within(where_);
    parts_->model_pieces = parts_->pieces.size();
    FATHOM_TRY_VOID(read_added());
    FATHOM_TRY_VOID(read_post_processor());
    return parts_;
  }

 private:
  Error refuse(const std::string& what, const std::string& hint = kFamilies) const {
    return refuse_component(where_, what, hint);
  }
  Error damaged(const std::string& what) const { return damaged_file(where_, what); }
  bool is_null(const char* key) const {
    const auto found = root_.find(key);
    return found == root_.end() || found->is_null();
  }

  Status check_names() const {
    constexpr std::array kKnown = {"version",       "truncation",     "padding", "added_tokens", "normalizer",
                                   "pre_tokenizer", "post_processor", "decoder", "model"};
    for (const auto& [key, value] : root_.items())
      if (std::find(kKnown.begin(), kKnown.end(), key) == kKnown.end())
        return refuse("unknown component '" + key + "'");
    return {};
  }

  Result<std::string> type_of(const char* component) const {
    const auto found = root_.find(component);
    if (found == root_.end() || !found->is_object()) return refuse(std::string("no ") + component);
    return json_string(*found, "type", where_ + " " + component);
  }

  Status expect_type(const char* component, const char* wanted) const {
    FATHOM_TRY(const std::string type, type_of(component));
    if (type != wanted)
      return refuse(std::string(component) + " '" + type + "' is not supported (expected " + wanted + ")");
    return {};
  }

  Status check_rest() const {
    FATHOM_TRY_VOID(expect_type("pre_tokenizer", word_piece_ ? "BertPreTokenizer" : "ByteLevel"));
    if (!is_null("decoder")) FATHOM_TRY_VOID(expect_type("decoder", word_piece_ ? "WordPiece" : "ByteLevel"));
    if (!word_piece_ && !is_null("normalizer")) {
      FATHOM_TRY(const std::string type, type_of("normalizer"));
      return refuse("normalizer '" + type + "' is not supported before BPE (expected none)");
    }
    if (is_null("truncation")) return {};
    const Json& truncation = root_["truncation"];
    if (!truncation.is_object()) return damaged("'truncation' is no object");
    if (!truncation.contains("direction")) return {};
    FATHOM_TRY(const std::string direction, json_string(truncation, "direction", where_ + " truncation"));
    if (direction != "Right")
      return refuse("truncation direction '" + direction + "' is not supported (expected Right)",
                    "texts are cut at their end");
    return {};
  }

  Status read_vocabulary() {
    if (file_.vocabulary.empty()) return damaged("model: 'vocab' is missing");
    const auto count = static_cast<std::int64_t>(file_.vocabulary.size());
    if (count > kMaxPieces) return Error{Code::limit, where_ + " model: more than 2000000 pieces", ""};
    std::vector<std::string>& pieces = parts_->pieces;
    pieces.assign(static_cast<std::size_t>(count), "");
    std::vector<bool> taken(static_cast<std::size_t>(count), false);
    for (auto& [piece, id] : file_.vocabulary) {
      if (id < 0 || id >= count)
        return damaged("model: the id of piece '" + piece + "' is not in 0.." + std::to_string(count - 1));
      const auto at = static_cast<std::size_t>(id);
      if (piece.empty() || taken[at])
        return damaged("model: piece '" + piece + "' is empty or shares its id with '" + pieces[at] + "'");
      pieces[at] = std::move(piece);
      taken[at] = true;
    }
    FATHOM_TRY(index_, PieceIndex::make(pieces));
    return {};
  }

  Result<NormalizerOptions> read_normalizer() const {
    if (is_null("normalizer")) return NormalizerOptions::none();
    FATHOM_TRY_VOID(expect_type("normalizer", "BertNormalizer"));
    const Json& json = root_["normalizer"];
    NormalizerOptions options;
    FATHOM_TRY(options.clean_text, json_bool(json, "clean_text", where_));
    FATHOM_TRY(options.handle_chinese_chars, json_bool(json, "handle_chinese_chars", where_));
    FATHOM_TRY(options.lowercase, json_bool(json, "lowercase", where_));
    options.strip_accents = options.lowercase;  // null means this
    if (json.contains("strip_accents") && !json["strip_accents"].is_null()) {
      FATHOM_TRY(options.strip_accents, json_bool(json, "strip_accents", where_));
    }
    return options;
  }

  Status make_word_piece() {
    const Json& model = root_["model"];
    WordPieceOptions options;
    FATHOM_TRY(options.unknown, json_string(model, "unk_token", "model"));
    FATHOM_TRY(options.prefix, json_string(model, "continuing_subword_prefix", "model"));
    FATHOM_TRY(options.max_word_characters, json_int(model, "max_input_chars_per_word", 0, 1'000'000, "model"));
    FATHOM_TRY(options.normalizer, read_normalizer());
    FATHOM_TRY(auto trie, PieceTrie::make(parts_->pieces));
    FATHOM_TRY(parts_->model, WordPieceModel::make(std::move(trie), options));
    return {};
  }

  // Absent, null and `usual` mean the same.
  Status expect_usual(const char* key, const Json& usual) const {
    const auto found = root_["model"].find(key);
    if (found == root_["model"].end() || found->is_null() || *found == usual) return {};
    return refuse_component("model",
                            std::string(key) + " " + found->dump().substr(0, 60) + " is not supported (expected " +
                                usual.dump() + " or null)",
                            kFamilies);
  }

  static Result<bool> flag(const Json& object, const char* key, bool usual) {
    if (!object.contains(key) || object[key].is_null()) return usual;
    return json_bool(object, key, "tokenizer");
  }

  Status make_bpe() {
    const Json &model = root_["model"], &pre = root_["pre_tokenizer"];
    FATHOM_TRY_VOID(expect_usual("dropout", 0.0));
    FATHOM_TRY_VOID(expect_usual("continuing_subword_prefix", ""));
    FATHOM_TRY_VOID(expect_usual("end_of_word_suffix", ""));
    FATHOM_TRY_VOID(expect_usual("byte_fallback", false));
    BpeOptions options;
    FATHOM_TRY(options.ignore_merges, flag(model, "ignore_merges", false));
    FATHOM_TRY(options.fuse_unknown, flag(model, "fuse_unk", false));
    if (model.contains("unk_token") && !model["unk_token"].is_null()) {
      FATHOM_TRY(options.unknown, json_string(model, "unk_token", "model"));
    }
    FATHOM_TRY(const bool pattern, flag(pre, "use_regex", true));
    if (!pattern)
      return refuse_component("pre_tokenizer", "ByteLevel with use_regex false is not supported (expected true)",
                              kFamilies);
    FATHOM_TRY(options.add_prefix_space, json_bool(pre, "add_prefix_space", "pre_tokenizer"));
    FATHOM_TRY(const auto merges, file_.merges());
    FATHOM_TRY(parts_->model, BpeModel::make(parts_->pieces, index_, merges, options));
    return {};
  }

  Status read_added() {
    if (is_null("added_tokens")) return {};
    const Json& list = root_["added_tokens"];
    if (!list.is_array()) return damaged("'added_tokens' is not a list");
    const std::string here = where_ + " added_tokens";
    for (const Json& json : list) {
      AddedToken token;
      FATHOM_TRY(token.content, json_string(json, "content", here));
      FATHOM_TRY(const std::int64_t id, json_int(json, "id", 0, kMaxPieces, here));
      token.id = static_cast<std::int32_t>(id);
      FATHOM_TRY(token.single_word, json_bool(json, "single_word", here));
      FATHOM_TRY(token.lstrip, json_bool(json, "lstrip", here));
      FATHOM_TRY(token.rstrip, json_bool(json, "rstrip", here));
      FATHOM_TRY(token.normalized, json_bool(json, "normalized", here));
      FATHOM_TRY(token.special, json_bool(json, "special", here));
      FATHOM_TRY_VOID(place_added(token));
      parts_->added.push_back(std::move(token));
    }
    return {};
  }

  // A token that the model holds keeps its id; others follow the vocabulary without a gap.
  Status place_added(const AddedToken& token) {
    const auto at = static_cast<std::size_t>(token.id);
    if (token.content.empty()) return damaged("an added token is empty");
    const std::int32_t known = index_.find(token.content);
    if (known >= 0 ? known != token.id : at != parts_->pieces.size())
      return damaged("added token '" + token.content + "' has id " + std::to_string(token.id) + ", expected " +
                     std::to_string(known >= 0 ? static_cast<std::size_t>(known) : parts_->pieces.size()));
    if (added_ids_.size() <= at) added_ids_.resize(at + 1, false);
    if (added_ids_[at] || (known < 0 && !added_names_.insert(token.content).second))
      return damaged("added token '" + token.content + "' stands twice");
    added_ids_[at] = true;
    if (known < 0) parts_->pieces.push_back(token.content);
    return {};
  }

  Status read_post_processor() {
    if (is_null("post_processor")) {
      parts_->form = plain_form();
      return {};
    }
    FATHOM_TRY(const std::string type, type_of("post_processor"));
    const Json& json = root_["post_processor"];
    if (type != "Sequence") return read_processor(json, type);
    const auto list = json.find("processors");
    if (list == json.end() || !list->is_array()) return damaged("post_processor: 'processors' is missing or no list");
    parts_->form = plain_form();
    bool placed = false;
    for (const Json& one : *list) {
      FATHOM_TRY(const std::string name, json_string(one, "type", where_ + " post_processor"));
      if (name == "ByteLevel") continue;
      if (placed) return refuse("post_processor '" + name + "' after another one is not supported");
      placed = true;
      FATHOM_TRY_VOID(read_processor(one, name));
    }
    return {};
  }

  Status read_processor(const Json& json, const std::string& type) {
    SequenceTemplate& form = parts_->form;
    if (type == "ByteLevel") {  // moves offsets only
      form = plain_form();
    } else if (type == "BertProcessing" || type == "RobertaProcessing") {
      FATHOM_TRY(const TemplatePart begin, read_end(json, "cls"));
      FATHOM_TRY(const TemplatePart end, read_end(json, "sep"));
      form = bert_template(begin, &end);
      if (type == "RobertaProcessing") {
        form.pair.insert(form.pair.begin() + 3, end);
        for (TemplatePart& part : form.pair) part.type = 0;
      }
    } else if (type == "TemplateProcessing") {
      FATHOM_TRY(form.single, read_template(json, "single", false));
      FATHOM_TRY(form.pair, read_template(json, "pair", true));
    } else {
      return refuse("post_processor '" + type +
                    "' is not supported (expected TemplateProcessing, BertProcessing, RobertaProcessing or ByteLevel)");
    }
    return {};
  }

  static SequenceTemplate plain_form() {
    SequenceTemplate form;
    form.single.push_back({TemplatePart::Kind::first, 0, "", {}, {}});
    form.pair = form.single;
    form.pair.push_back({TemplatePart::Kind::second, 1, "", {}, {}});
    return form;
  }

  Result<std::int32_t> special_id(const Json& id, const std::string& name) const {
    const auto limit = parts_->pieces.size();
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() >= limit)
      return damaged("post_processor: the id of '" + name + "' is not in 0.." + std::to_string(limit - 1));
    return id.get<std::int32_t>();
  }

  Result<TemplatePart> read_end(const Json& json, const char* key) const {  // ["[CLS]", 101]
    const auto found = json.find(key);
    if (found == json.end() || !found->is_array() || found->size() != 2 || !(*found)[0].is_string())
      return damaged(std::string("post_processor: '") + key + "' is not [name, id]");
    const auto name = (*found)[0].get<std::string>();
    FATHOM_TRY(const std::int32_t id, special_id((*found)[1], name));
    return special_part(name, id);
  }

  Result<std::vector<TemplatePart>> read_template(const Json& json, const char* key, bool pair) const {
    const auto list = json.find(key);
    if (list == json.end() || !list->is_array() || list->size() > kMaxTemplateParts)
      return damaged(std::string("post_processor: '") + key + "' is missing, no list or longer than 64");
    std::vector<TemplatePart> parts;
    int firsts = 0, seconds = 0;
    for (const Json& item : *list) {
      FATHOM_TRY(TemplatePart part, read_part(json, item));
      firsts += part.kind == TemplatePart::Kind::first ? 1 : 0;
      seconds += part.kind == TemplatePart::Kind::second ? 1 : 0;
      parts.push_back(std::move(part));
    }
    if (firsts != 1 || seconds != (pair ? 1 : 0))
      return refuse(std::string("post_processor template '") + key + "' does not hold " +
                    (pair ? "each text once" : "the text once, alone"));
    return parts;
  }

  Result<TemplatePart> read_part(const Json& processor, const Json& item) const {
    const std::string here = where_ + " post_processor";
    const bool special = item.is_object() && item.contains("SpecialToken");
    if (!special && !(item.is_object() && item.contains("Sequence")))
      return damaged("post_processor: a template's part is neither SpecialToken nor Sequence");
    const Json& body = item[special ? "SpecialToken" : "Sequence"];
    TemplatePart part;
    FATHOM_TRY(part.name, json_string(body, "id", here));
    FATHOM_TRY(const std::int64_t type, json_int(body, "type_id", 0, INT32_MAX, here));
    part.type = static_cast<std::int32_t>(type);
    if (special) {
      FATHOM_TRY_VOID(read_special(processor, part));
    } else {
      if (part.name != "A" && part.name != "B")
        return damaged("post_processor: sequence '" + part.name + "' (expected A or B)");
      part.kind = part.name == "A" ? TemplatePart::Kind::first : TemplatePart::Kind::second;
    }
    return part;
  }

  Status read_special(const Json& processor, TemplatePart& part) const {
    const Json all = processor.value("special_tokens", Json());
    const Json found = all.is_object() ? all.value(part.name, Json()) : Json();
    if (!found.is_object()) return damaged("post_processor: special_tokens does not hold '" + part.name + "'");
    const Json ids = found.value("ids", Json()), tokens = found.value("tokens", Json());
    if (!ids.is_array() || !tokens.is_array() || ids.size() != tokens.size() || ids.empty() ||
        ids.size() > kMaxTemplateParts)
      return damaged("post_processor: 'ids' and 'tokens' of '" + part.name + "' are not two lists of one length");
    for (std::size_t i = 0; i < ids.size(); ++i) {
      FATHOM_TRY(const std::int32_t id, special_id(ids[i], part.name));
      if (!tokens[i].is_string()) return damaged("post_processor: a token of '" + part.name + "' is no text");
      part.ids.push_back(id);
      part.tokens.push_back(tokens[i].get<std::string>());
    }
    return {};
  }

  const Json& root_;
  TokenizerFile& file_;  // its pieces are moved from
  const std::string& where_;
  std::shared_ptr<TokenizerParts> parts_;
  bool word_piece_ = true;
  PieceIndex index_;
  std::vector<bool> added_ids_;
  std::set<std::string> added_names_;  // of those that the model does not hold
};

}  // namespace

Result<std::shared_ptr<TokenizerParts>> read_tokenizer_json(std::string_view text, const std::string& where) {
  TokenizerFile file;
  FATHOM_TRY(const Json root, file.parse(text, where));
  return Reader(root, file, where).read();
}

}  // namespace fathom::data
