// From tokenizer.json to a tokenizer. Where the file says everything (TokenizerSettings::Kind::as_written), every
// component is checked by name: one that we do not compute is refused, never skipped. Where the folder names a class
// that takes the vocabulary alone, what the file says otherwise becomes a note. truncation (but for its direction) and
// padding are not read: the caller gives the length, and batches are not padded. The decoder is only checked: it has no
// say in the ids.
#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "data/piece_index.h"
#include "data/tokenizer_file.h"
#include "data/tokenizer_parts.h"

namespace fathom::data {
namespace {

constexpr std::size_t kMaxPieces = 2'000'000, kMaxAdded = 100'000;
constexpr std::int64_t kMostWordCharacters = 256;  // the library's own is 100: a word is walked from each of its places
constexpr std::size_t kMaxTemplateParts = 64;
constexpr const char* kFamilies =
    "WordPiece over BertNormalizer and BertPreTokenizer (BERT, DistilBERT, MiniLM) and BPE over ByteLevel (RoBERTa) "
    "are read";

using Kind = TokenizerSettings::Kind;

class Reader {
 public:
  Reader(const Json& root, TokenizerFile& file, const std::string& where, const TokenizerSettings& settings)
      : root_(root), file_(file), where_(where), settings_(settings), parts_(std::make_shared<TokenizerParts>()) {}

  Result<std::shared_ptr<TokenizerParts>> read() {
    if (!root_.is_object()) return damaged("not a JSON object");
    FATHOM_TRY_VOID(check_names());
    FATHOM_TRY(const std::string model, model_type());
    if (model != "WordPiece" && model != "BPE")
      return refuse("model '" + model + "' is not supported (expected WordPiece or BPE)");
    word_piece_ = model == "WordPiece";
    const bool as_written = settings_.kind == Kind::as_written;
    if (as_written) FATHOM_TRY_VOID(check_rest());
    if (!as_written && word_piece_ != (settings_.kind == Kind::bert))
      return refuse("model '" + model + "' does not go with tokenizer_class '" + settings_.name + "'");
    FATHOM_TRY_VOID(read_direction());
    FATHOM_TRY_VOID(read_vocabulary());
    const auto made = !as_written ? rebuild() : word_piece_ ? make_word_piece() : make_bpe();
    if (!made.has_value()) return made.error().within(where_);
    FATHOM_TRY_VOID(read_added());
    if (as_written) {
      FATHOM_TRY_VOID(place_added());
      FATHOM_TRY_VOID(read_post_processor());
      note_pair_types();
    }
    FATHOM_TRY_VOID(dress_model(*parts_, index_, written_, settings_, where_));
    if (!as_written) note_differences();
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

  // Very old files do not name it.
  Result<std::string> model_type() const {
    const auto found = root_.find("model");
    if (found == root_.end() || !found->is_object() || found->contains("type")) return type_of("model");
    if (file_.merges().has_value()) return std::string("BPE");
    return std::string(found->contains("max_input_chars_per_word") ? "WordPiece" : "");
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
    return {};
  }

  Status read_direction() const {
    if (is_null("truncation")) return {};
    const Json& truncation = root_["truncation"];
    if (!truncation.is_object()) return damaged("'truncation' is no object");
    if (!truncation.contains("direction")) return {};
    FATHOM_TRY(const std::string direction, json_string(truncation, "direction", where_ + " truncation"));
    if (direction != "Right" && direction != "Left")
      return refuse("truncation direction '" + direction + "' is not supported (expected Right or Left)", "");
    parts_->cut_left = direction == "Left";
    return {};
  }

  Status read_vocabulary() {
    if (file_.vocabulary.empty()) return damaged("model: 'vocab' is missing");
    if (file_.vocabulary.size() > kMaxPieces)
      return Error{Code::limit, where_ + " model: more than 2000000 pieces", ""};
    Vocabulary& all = parts_->vocabulary;
    all.pieces.reserve(file_.vocabulary.size());
    all.ids.reserve(file_.vocabulary.size());
    for (auto& [piece, id] : file_.vocabulary) {
      if (id < 0 || id >= kMostIds)
        return damaged("model: the id of piece '" + piece + "' is not in 0.." + std::to_string(kMostIds - 1));
      all.add(std::move(piece), static_cast<std::int32_t>(id));
    }
    FATHOM_TRY(index_, PieceIndex::make(all));
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
    FATHOM_TRY(options.max_word_characters, json_int(model, "max_input_chars_per_word", 0, kMostIds, "model"));
    if (options.max_word_characters > kMostWordCharacters)
      return Error{Code::limit,
                   "model: max_input_chars_per_word is " + std::to_string(options.max_word_characters) +
                       ", at most 256 are read",
                   "the usual value is 100: a longer word is unknown"};
    FATHOM_TRY(options.normalizer, read_normalizer());
    FATHOM_TRY(auto trie, PieceTrie::make(parts_->vocabulary.pieces, parts_->vocabulary.ids));
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
    FATHOM_TRY(parts_->model, BpeModel::make(parts_->vocabulary, index_, merges, options));
    return {};
  }

  Status rebuild() {
    std::vector<BpeModel::Merge> merges;
    if (!word_piece_) {
      FATHOM_TRY(merges, file_.merges());
    }
    return build_model(*parts_, index_, merges, settings_);
  }

  Status read_added() {
    if (is_null("added_tokens")) return {};
    const Json& list = root_["added_tokens"];
    if (!list.is_array()) return damaged("'added_tokens' is not a list");
    const std::string here = where_ + " added_tokens";
    for (const Json& json : list) {
      AddedToken token;
      FATHOM_TRY(token.content, json_string(json, "content", here));
      FATHOM_TRY(const std::int64_t id, json_int(json, "id", 0, kMostIds - 1, here));
      token.id = static_cast<std::int32_t>(id);
      FATHOM_TRY(token.single_word, json_bool(json, "single_word", here));
      FATHOM_TRY(token.lstrip, json_bool(json, "lstrip", here));
      FATHOM_TRY(token.rstrip, json_bool(json, "rstrip", here));
      FATHOM_TRY(token.normalized, json_bool(json, "normalized", here));
      FATHOM_TRY(token.special, json_bool(json, "special", here));
      if (token.content.empty()) return damaged("an added token is empty");
      if (written_.size() == kMaxAdded) return Error{Code::limit, where_ + ": more than 100000 added tokens", ""};
      written_.emplace_back(id, std::move(token));
    }
    return {};
  }

  // The ids are the library's: a token that the model holds has that one, others follow the vocabulary without a gap. A
  // folder's file that says otherwise is read as the library reads it; one that stands alone is damaged.
  Status place_added() {
    std::vector<AddedToken> tokens;
    std::set<std::string> names;
    for (const auto& [id, token] : written_) {
      if (settings_.name.empty() && !names.insert(token.content).second)
        return damaged("added token '" + token.content + "' stands twice");
      tokens.push_back(token);
    }
    parts_->add(index_, tokens);
    std::map<std::string, std::int32_t> ids;
    for (const AddedToken& token : parts_->added) ids[token.content] = token.id;
    for (const auto& [id, token] : written_) {
      const auto found = ids.find(token.content);
      const std::int32_t is = found == ids.end() ? -1 : found->second;
      if (is == id) continue;
      const std::string what = "added token '" + token.content.substr(0, 80) + "' has id " + std::to_string(id);
      if (settings_.name.empty()) return damaged(what + ", expected " + std::to_string(is));
      note(what + ", it becomes " + std::to_string(is) + ", as in transformers");
    }
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
      form = type == "RobertaProcessing" ? roberta_template(begin, end) : bert_template(begin, &end);
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
    const auto limit = static_cast<std::uint64_t>(parts_->ids_end());
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

  void note(const std::string& what) { parts_->notes.push_back("tokenizer.json: " + what); }

  void note_pair_types() {
    const auto typed = [](const TemplatePart& part) { return part.type != 0; };
    if (settings_.types == false && std::any_of(parts_->form.pair.begin(), parts_->form.pair.end(), typed))
      note(
          "pairs get no token types, as in transformers 5, where 'model_input_names' does not ask for them; "
          "transformers 4 gives them with " +
          settings_.name);
    if (settings_.wants_lower_case && word_piece_ && !is_null("normalizer") &&
        root_["normalizer"].value("lowercase", Json()) != Json(*settings_.wants_lower_case))
      note("tokenizer_config.json's 'do_lower_case' says otherwise; " + settings_.name +
           " reads tokenizer.json alone, and so it is done here");
    if (!settings_.name.empty() && !word_piece_ &&
        root_["pre_tokenizer"].value("add_prefix_space", Json()) != Json(settings_.add_prefix_space))
      note("its add_prefix_space is obeyed, as in transformers 5; transformers 4 takes tokenizer_config.json's");
  }

  // What the file says and the folder's class does not take from it. Where transformers 4 does take it, that is said.
  void note_differences() {
    constexpr const char* kFour = ", which transformers 5 passes over, as is done here; transformers 4 obeys it";
    if (settings_.kind == Kind::roberta && !is_null("normalizer")) note(std::string("it has a normalizer") + kFour);
    if (settings_.kind == Kind::bert) note_normalizer(kFour);
    const std::string pre = text_at("pre_tokenizer", "type");
    const bool usual = pre == (word_piece_ ? "BertPreTokenizer" : "ByteLevel");
    if (!usual) note("pre_tokenizer '" + pre + "'" + kFour);
    if (!word_piece_ && usual) {
      const Json said = root_["pre_tokenizer"].value("add_prefix_space", Json(false));
      if (said != Json(settings_.add_prefix_space))
        note("add_prefix_space is " + said.dump() + ", tokenizer_config.json" +
             (settings_.wants_prefix_space ? " says " : " says nothing, which means ") +
             (settings_.add_prefix_space ? "true" : "false") + ": that is obeyed, as in transformers");
    }
    if (word_piece_) {
      const Json& model = root_["model"];
      if (model.value("continuing_subword_prefix", Json("##")) != Json("##"))
        note(std::string("model: another continuing_subword_prefix than \"##\"") + kFour);
      if (model.value("max_input_chars_per_word", Json(100)) != Json(100))
        note(std::string("model: another max_input_chars_per_word than 100") + kFour);
    }
    note_template(kFour);
  }

  std::string text_at(const char* component, const char* key) const {
    if (is_null(component) || !root_[component].is_object()) return "";
    const Json value = root_[component].value(key, Json());
    return value.is_string() ? value.get<std::string>().substr(0, 60) : "";
  }

  void note_normalizer(const char* four) {
    const std::string type = text_at("normalizer", "type");
    if (type != "BertNormalizer") return note("normalizer '" + type + "'" + four);
    const Json& json = root_["normalizer"];
    const NormalizerOptions& now = settings_.normalizer;
    if (json.value("clean_text", Json(true)) != Json(true)) note(std::string("clean_text false") + four);
    const auto differs = [&](const char* key, const char* ours, bool value, bool was) {
      if (value != was)
        note(std::string(key) + " is " + (was ? "true" : "false") + ", tokenizer_config.json's '" + ours +
             "' (or its default) is " + (value ? "true" : "false") + ": that is obeyed, as in transformers");
    };
    const bool lowercase = json.value("lowercase", Json(true)) == Json(true);
    const Json strip = json.value("strip_accents", Json());
    differs("lowercase", "do_lower_case", now.lowercase, lowercase);
    differs("handle_chinese_chars", "tokenize_chinese_chars", now.handle_chinese_chars,
            json.value("handle_chinese_chars", Json(true)) == Json(true));
    if (now.lowercase == lowercase)
      differs("strip_accents", "strip_accents", now.strip_accents, strip.is_null() ? lowercase : strip == Json(true));
  }

  void note_template(const char* four) {
    const SequenceTemplate ours = parts_->form;
    const Status read = read_post_processor();
    const auto same = [](const std::vector<TemplatePart>& a, const std::vector<TemplatePart>& b) {
      return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const TemplatePart& x, const TemplatePart& y) {
        return x.kind == y.kind && x.ids == y.ids;
      });
    };
    const bool equal = read.has_value() && same(ours.single, parts_->form.single) && same(ours.pair, parts_->form.pair);
    parts_->form = ours;
    if (!equal) note(std::string("its post_processor puts other tokens around a text than ") + settings_.name + four);
  }

  const Json& root_;
  TokenizerFile& file_;  // its pieces are moved from
  const std::string& where_;
  const TokenizerSettings& settings_;
  std::shared_ptr<TokenizerParts> parts_;
  bool word_piece_ = true;
  PieceIndex index_;
  std::vector<std::pair<std::int64_t, AddedToken>> written_;
};

}  // namespace

Result<std::shared_ptr<TokenizerParts>> read_tokenizer_json(std::string_view text, const std::string& where,
                                                            const TokenizerSettings& settings) {
  TokenizerFile file;
  FATHOM_TRY(const Json root, file.parse(text, where));
  return Reader(root, file, where, settings).read();
}

}  // namespace fathom::data
