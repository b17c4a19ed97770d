// tokenizer.json in and out. Every component is checked by name: one that we do not compute is refused, never
// skipped. truncation and padding are not read: the caller gives the length, and batches are not padded.
#include <algorithm>
#include <set>

#include "base/file.h"
#include "base/json.h"
#include "data/tokenizer.h"

namespace fathom::data {
namespace {

constexpr std::uint64_t kMaxFileBytes = 64u << 20;
constexpr std::int64_t kMaxPieces = 2'000'000;
constexpr std::array kSpecialNames = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};

Error refuse(const std::string& where, const std::string& what) {
  return {Code::unsupported, where + ": " + what, "only BERT's WordPiece tokenizers are read"};
}

Error damaged(const std::string& where, const std::string& what) {
  return {Code::corrupt_bundle, where + ": " + what, "the file is damaged; make it again"};
}

// The parsed file without its vocabulary, which is read into a list on the way: an ordered Json object of many
// thousand members takes quadratic time. Depth is capped and duplicate keys are refused, as in base/json.h.
class FileParser {
 public:
  Result<Json> parse(std::string_view text, const std::string& where) {
    try {
      Json root = Json::parse(text.begin(), text.end(), [this](int depth, Event event, Json& value) { return keep(depth, event, value); });
      if (open_piece_) fault_ = "a vocabulary id is missing";
      if (!fault_.empty()) return damaged(where, fault_);
      return root;
    } catch (const Json::exception& e) {
      return damaged(where, std::string("not valid JSON: ") + e.what());
    }
  }
  std::vector<std::pair<std::string, Json>> vocabulary;

 private:
  using Event = Json::parse_event_t;

  bool keep(int depth, Event event, const Json& value) {
    if (depth > 16) fault_ = "nested deeper than 16";
    if (!fault_.empty()) return false;
    if (event == Event::object_start) keys_.emplace_back();
    if (event == Event::object_end) keys_.pop_back();
    if (event == Event::key) return keep_key(static_cast<std::size_t>(depth), value.get<std::string>());
    if (event == Event::value && depth == 3 && open_piece_) {
      vocabulary.back().second = value;
      open_piece_ = false;
    }
    return true;
  }

  bool keep_key(std::size_t depth, const std::string& key) {
    path_.resize(depth);
    path_.back() = key;
    if (depth == 3 && path_[0] == "model" && path_[1] == "vocab") {
      if (open_piece_) fault_ = "the id of piece '" + vocabulary.back().first + "' is no number";
      vocabulary.emplace_back(key, nullptr);
      open_piece_ = true;
      return false;
    }
    if (!keys_.back().insert(key).second) fault_ = "key '" + key + "' stands twice";
    return fault_.empty();
  }

  std::vector<std::set<std::string>> keys_;  // of each open object
  std::vector<std::string> path_;            // the key at each depth
  bool open_piece_ = false;                  // a piece waits for its id
  std::string fault_;
};

Json special_item(const char* name) { return {{"SpecialToken", {{"id", name}, {"type_id", 0}}}}; }
Json sequence_item() { return {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}; }
Json second_item() { return {{"Sequence", {{"id", "B"}, {"type_id", 1}}}}; }

Result<std::string> type_of(const Json& root, const char* component, const std::string& where) {
  const auto found = root.find(component);
  if (found == root.end() || !found->is_object()) return refuse(where, std::string("no ") + component);
  return json_string(*found, "type", where + " " + component);
}

Status expect_type(const Json& root, const char* component, const char* wanted, const std::string& where) {
  FATHOM_TRY(const std::string type, type_of(root, component, where));
  if (type != wanted) return refuse(where, std::string(component) + " '" + type + "' is not supported (expected " + wanted + ")");
  return {};
}

Status read_normalizer(const Json& root, const std::string& where, NormalizerOptions& options) {
  FATHOM_TRY_VOID(expect_type(root, "normalizer", "BertNormalizer", where));
  const Json& json = root["normalizer"];
  FATHOM_TRY(options.clean_text, json_bool(json, "clean_text", where));
  FATHOM_TRY(options.handle_chinese_chars, json_bool(json, "handle_chinese_chars", where));
  FATHOM_TRY(options.lowercase, json_bool(json, "lowercase", where));
  options.strip_accents = options.lowercase;  // null means this
  if (json.contains("strip_accents") && !json["strip_accents"].is_null()) {
    FATHOM_TRY(options.strip_accents, json_bool(json, "strip_accents", where));
  }
  return {};
}

Status read_vocabulary(const Json& root, const FileParser& file, const std::string& where, std::vector<std::string>& pieces) {
  FATHOM_TRY_VOID(expect_type(root, "model", "WordPiece", where));
  const Json& model = root["model"];
  const std::string here = where + " model";
  FATHOM_TRY(const std::string unknown, json_string(model, "unk_token", here));
  FATHOM_TRY(const std::string prefix, json_string(model, "continuing_subword_prefix", here));
  if (unknown != "[UNK]") return refuse(here, "unk_token '" + unknown + "' (expected [UNK])");
  if (prefix != "##") return refuse(here, "continuing_subword_prefix '" + prefix + "' (expected ##)");
  FATHOM_TRY_VOID([&]() -> Status {
    FATHOM_TRY([[maybe_unused]] const auto longest, json_int(model, "max_input_chars_per_word", 100, 100, here));
    return {};
  }());
  if (file.vocabulary.empty()) return damaged(here, "'vocab' is missing");
  const auto count = static_cast<std::int64_t>(file.vocabulary.size());
  if (count > kMaxPieces) return Error{Code::limit, here + ": more than 2000000 pieces", ""};
  pieces.assign(static_cast<std::size_t>(count), "");
  for (const auto& [piece, id] : file.vocabulary) {
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() >= static_cast<std::uint64_t>(count))
      return damaged(here, "the id of piece '" + piece + "' is not in 0.." + std::to_string(count - 1));
    std::string& slot = pieces[id.get<std::size_t>()];
    if (piece.empty() || !slot.empty()) return damaged(here, "piece '" + piece + "' is empty or shares its id with '" + slot + "'");
    slot = piece;
  }
  return {};
}

Status check_added(const Json& root, const std::string& where, const std::vector<std::string>& pieces) {
  const auto added = root.find("added_tokens");
  if (added == root.end() || added->is_null()) return {};
  if (!added->is_array()) return damaged(where, "'added_tokens' is not a list");
  for (const Json& token : *added) {
    FATHOM_TRY(const std::string content, json_string(token, "content", where + " added_tokens"));
    FATHOM_TRY(const std::int64_t id, json_int(token, "id", 0, kMaxPieces, where + " added_tokens"));
    if (std::find(kSpecialNames.begin(), kSpecialNames.end(), content) == kSpecialNames.end())
      return refuse(where, "added token '" + content + "' is not supported");
    if (static_cast<std::size_t>(id) >= pieces.size() || pieces[static_cast<std::size_t>(id)] != content)
      return damaged(where, "added token '" + content + "' has another id in the vocabulary");
  }
  return {};
}

Result<bool> read_post_processor(const Json& root, const std::string& where) {  // true: [SEP] at the end
  FATHOM_TRY(const std::string type, type_of(root, "post_processor", where));
  if (type == "BertProcessing") return true;
  if (type != "TemplateProcessing") return refuse(where, "post_processor '" + type + "' is not supported (expected TemplateProcessing)");
  const Json& json = root["post_processor"];
  const Json single = json.value("single", Json::array());
  if (single == Json::array({special_item("[CLS]"), sequence_item(), special_item("[SEP]")})) return true;
  if (single == Json::array({special_item("[CLS]"), sequence_item()})) return false;
  return refuse(where, "post_processor template is neither '[CLS] $A [SEP]' nor '[CLS] $A'");
}

Status check_rest(const Json& root, const std::string& where) {
  FATHOM_TRY_VOID(expect_type(root, "pre_tokenizer", "BertPreTokenizer", where));
  if (root.contains("decoder") && !root["decoder"].is_null()) FATHOM_TRY_VOID(expect_type(root, "decoder", "WordPiece", where));
  constexpr std::array kKnown = {"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder", "model"};
  for (const auto& [key, value] : root.items())
    if (std::find(kKnown.begin(), kKnown.end(), key) == kKnown.end()) return refuse(where, "unknown component '" + key + "'");
  return {};
}

Json special_entry(const char* name, std::int32_t id) { return {{"id", name}, {"ids", {id}}, {"tokens", {name}}}; }

}  // namespace

struct TokenizerJson {
  static Json added(const Tokenizer& tokenizer) {
    Json list = Json::array();
    for (const char* name : kSpecialNames) {
      const std::int32_t id = tokenizer.find(name);
      if (id < 0) continue;
      list.push_back({{"id", id}, {"content", name}, {"single_word", false}, {"lstrip", false}, {"rstrip", false}, {"normalized", false}, {"special", true}});
    }
    std::sort(list.begin(), list.end(), [](const Json& a, const Json& b) { return a["id"] < b["id"]; });
    return list;
  }

  static Json post_processor(const Tokenizer& tokenizer) {
    Json single = Json::array({special_item("[CLS]"), sequence_item()});
    Json pair = single;
    if (tokenizer.append_sep_) {
      single.push_back(special_item("[SEP]"));
      pair = single;
    }
    pair.push_back(second_item());
    Json tokens = {{"[CLS]", special_entry("[CLS]", tokenizer.begin_)}};
    if (tokenizer.append_sep_) {
      pair.push_back({{"SpecialToken", {{"id", "[SEP]"}, {"type_id", 1}}}});
      tokens["[SEP]"] = special_entry("[SEP]", tokenizer.end_);
    }
    return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", tokens}};
  }

  static Json write(const Tokenizer& tokenizer) {
    const NormalizerOptions& n = tokenizer.normalizer_;
    Json vocabulary = Json::object();
    Json::object_t& pieces = vocabulary.get_ref<Json::object_t&>();
    for (std::size_t i = 0; i < tokenizer.pieces_.size(); ++i) pieces.Container::emplace_back(tokenizer.pieces_[i], i);
    Json root;
    root["version"] = "1.0";
    root["truncation"] = nullptr;
    root["padding"] = nullptr;
    root["added_tokens"] = added(tokenizer);
    root["normalizer"] = {{"type", "BertNormalizer"},
                          {"clean_text", n.clean_text},
                          {"handle_chinese_chars", n.handle_chinese_chars},
                          {"strip_accents", n.strip_accents == n.lowercase ? Json(nullptr) : Json(n.strip_accents)},
                          {"lowercase", n.lowercase}};
    root["pre_tokenizer"] = {{"type", "BertPreTokenizer"}};
    root["post_processor"] = post_processor(tokenizer);
    root["decoder"] = {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}};
    root["model"] = {{"type", "WordPiece"}, {"unk_token", "[UNK]"}, {"continuing_subword_prefix", "##"}, {"max_input_chars_per_word", 100}};
    root["model"]["vocab"] = std::move(vocabulary);
    return root;
  }

  static Result<Tokenizer> read(const Json& root, const FileParser& file, const std::string& where) {
    if (!root.is_object()) return damaged(where, "not a JSON object");
    Tokenizer tokenizer;
    FATHOM_TRY_VOID(check_rest(root, where));
    FATHOM_TRY_VOID(read_normalizer(root, where, tokenizer.normalizer_));
    FATHOM_TRY_VOID(read_vocabulary(root, file, where, tokenizer.pieces_));
    FATHOM_TRY_VOID(check_added(root, where, tokenizer.pieces_));
    FATHOM_TRY(tokenizer.append_sep_, read_post_processor(root, where));
    auto indexed = tokenizer.index();
    if (!indexed.has_value()) return indexed.error().within(where);
    return tokenizer;
  }
};

Result<Tokenizer> Tokenizer::read(const fs::path& bundle_folder) {
  const fs::path path = bundle_folder / "tokenizer.json";
  FATHOM_TRY(const std::string text, read_file(path, kMaxFileBytes));
  const std::string where = "'" + path.string() + "'";
  FileParser file;
  FATHOM_TRY(const Json root, file.parse(text, where));
  return TokenizerJson::read(root, file, where);
}

std::string Tokenizer::to_json() const { return TokenizerJson::write(*this).dump(1) + "\n"; }

std::string Tokenizer::vocab_text() const {
  std::string text;
  for (const std::string& piece : pieces_) text += piece + "\n";
  return text;
}

}  // namespace fathom::data
