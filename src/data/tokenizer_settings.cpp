#include "data/tokenizer_settings.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

#include "base/json.h"
#include "data/tokenizer_file.h"
#include "data/vocabulary.h"

namespace fathom::data {
namespace {

constexpr std::uint64_t kMaxFileBytes = 16u << 20;
constexpr std::size_t kMostAdded = 100'000;
constexpr const char* kRead =
    "BertTokenizer, DistilBertTokenizer, RobertaTokenizer and, with a tokenizer.json of their kind, "
    "PreTrainedTokenizerFast are read";

struct Class {
  std::string_view name;
  TokenizerSettings::Kind kind;
  bool types;  // transformers 5: whether it gives token types unless the file says so
};
// Names that transformers 5 knows for the same tokenizers, without "Fast".
constexpr std::array kClasses = {
    Class{"BertTokenizer", TokenizerSettings::Kind::bert, true},
    Class{"ElectraTokenizer", TokenizerSettings::Kind::bert, true},
    Class{"MobileBertTokenizer", TokenizerSettings::Kind::bert, true},
    Class{"SqueezeBertTokenizer", TokenizerSettings::Kind::bert, true},
    Class{"LayoutLMTokenizer", TokenizerSettings::Kind::bert, true},
    Class{"LxmertTokenizer", TokenizerSettings::Kind::bert, true},
    Class{"DistilBertTokenizer", TokenizerSettings::Kind::bert, false},
    Class{"RobertaTokenizer", TokenizerSettings::Kind::roberta, false},
    Class{"BartTokenizer", TokenizerSettings::Kind::roberta, false},
    Class{"LongformerTokenizer", TokenizerSettings::Kind::roberta, false},
    Class{"LEDTokenizer", TokenizerSettings::Kind::roberta, false},
    Class{"MvpTokenizer", TokenizerSettings::Kind::roberta, false},
    Class{"PreTrainedTokenizer", TokenizerSettings::Kind::as_written, false},
    Class{"TokenizersBackend", TokenizerSettings::Kind::as_written, false},
};
// What is special about others that people have.
constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kOthers = {{
    {"BertJapaneseTokenizer", " (Japanese words by MeCab)"},
    {"PhobertTokenizer", " (fastBPE over vocab.txt and bpe.codes)"},
    {"BertweetTokenizer", " (fastBPE over vocab.txt and bpe.codes)"},
    {"XLMRobertaTokenizer", " (SentencePiece)"},
    {"CamembertTokenizer", " (SentencePiece)"},
    {"AlbertTokenizer", " (SentencePiece)"},
    {"DebertaV2Tokenizer", " (SentencePiece)"},
    {"MPNetTokenizer", " (a vocabulary of its own kind)"},
}};

constexpr std::array kRoles = {"bos_token", "eos_token", "unk_token", "sep_token",
                               "pad_token", "cls_token", "mask_token"};

// An object of a file that may be absent; `where` becomes how errors call it.
Result<Json> read_object(const fs::path& path, std::string& where) {
  where = "'" + path.string() + "'";
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return Json::object();
  FATHOM_TRY(const std::string text, read_file(path, kMaxFileBytes));
  FATHOM_TRY(Json json, parse_json(text, where, Code::corrupt_bundle));
  if (!json.is_object()) return damaged_file(where, "not a JSON object");
  return json;
}

bool has(const Json& json, const char* key) { return json.contains(key) && !json[key].is_null(); }

Result<bool> flag_or(const Json& json, const char* key, bool usual, const std::string& where) {
  if (!has(json, key)) return usual;
  return json_bool(json, key, where);
}

Result<AddedToken> read_flags(const Json& json, const std::string& where, bool special = false) {
  AddedToken token;
  FATHOM_TRY(token.content, json_string(json, "content", where));
  FATHOM_TRY(token.single_word, flag_or(json, "single_word", false, where));
  FATHOM_TRY(token.lstrip, flag_or(json, "lstrip", false, where));
  FATHOM_TRY(token.rstrip, flag_or(json, "rstrip", false, where));
  FATHOM_TRY(token.special, flag_or(json, "special", special, where));
  token.special = token.special || special;
  FATHOM_TRY(token.normalized, flag_or(json, "normalized", !token.special, where));
  return token;
}

// A name, or a name with flags; `special`: whatever the flags say of that.
Result<TokenizerSettings::Named> read_named(const std::string& role, const Json& json, const std::string& where,
                                            bool special) {
  TokenizerSettings::Named named;
  named.role = role;
  if (json.is_string()) {
    named.token.content = json.get<std::string>();
    named.token.special = true;
    return named;
  }
  if (!json.is_object()) return damaged_file(where, "'" + role.substr(0, 60) + "' is no token");
  FATHOM_TRY(named.token, read_flags(json, where + " " + role.substr(0, 60), special));
  return named;
}

class Settings {
 public:
  explicit Settings(const fs::path& folder) : folder_(folder) {}

  TokenizerSettings bert() {
    out_.kind = TokenizerSettings::Kind::bert;
    put_defaults();
    return std::move(out_);
  }
  Result<TokenizerSettings> read() {
    FATHOM_TRY(config_, read_object(folder_ / "tokenizer_config.json", where_));
    std::string unused;
    const auto model = read_object(folder_ / "config.json", unused);  // whoever reads the model says what is wrong
    FATHOM_TRY_VOID(choose_class(model.has_value() ? *model : Json::object()));
    FATHOM_TRY_VOID(refuse_some());
    FATHOM_TRY_VOID(read_text_settings());
    FATHOM_TRY_VOID(read_length());
    FATHOM_TRY_VOID(read_inputs());
    FATHOM_TRY_VOID(read_tokens());
    list_unread();
    return std::move(out_);
  }

 private:
  Error refuse(const std::string& what, const std::string& hint) const { return refuse_component(where_, what, hint); }

  Status choose_class(const Json& model) {
    std::string name, from = where_;
    if (has(config_, "tokenizer_class")) {
      FATHOM_TRY(name, json_string(config_, "tokenizer_class", where_));
    } else if (has(model, "tokenizer_class") && model["tokenizer_class"].is_string()) {
      name = model["tokenizer_class"].get<std::string>();
      from = "'" + (folder_ / "config.json").string() + "'";
    } else if (has(model, "model_type") && model["model_type"].is_string()) {
      const auto type = model["model_type"].get<std::string>();
      if (type == "bert" || type == "distilbert") name = "BertTokenizer";
      if (type == "roberta") name = "RobertaTokenizer";
    }
    if (name.empty() && config_.empty()) return {};
    if (name.empty()) name = "BertTokenizer";  // a folder with a tokenizer_config.json and no model's config.json
    out_.name = name;
    const std::string plain = name.ends_with("Fast") ? name.substr(0, name.size() - 4) : name;
    for (const Class& one : kClasses)
      if (one.name == plain) {
        out_.kind = one.kind;
        out_.types = one.types;
        return {};
      }
    std::string kind;
    for (const auto& [other, what] : kOthers)
      if (other == plain) kind = what;
    return refuse_component(from, "tokenizer_class '" + name.substr(0, 80) + "'" + kind + " is not computed here",
                            kRead);
  }

  Status refuse_some() const {
    if (has(config_, "auto_map")) return refuse("'auto_map': a tokenizer with code of its own is not supported", kRead);
    FATHOM_TRY(const bool split, flag_or(config_, "split_special_tokens", false, where_));
    if (split) return refuse("'split_special_tokens' true is not supported (expected false)", kRead);
    if (has(config_, "init_inputs") && !config_["init_inputs"].empty())
      return refuse("'init_inputs' is not supported (expected an empty list)", kRead);
    return {};
  }

  void list_unread() {
    static const std::set<std::string_view> known = {
        "tokenizer_class", "do_lower_case", "strip_accents", "tokenize_chinese_chars", "add_prefix_space",
        "model_max_length", "max_len", "truncation_side", "model_input_names", "additional_special_tokens",
        "extra_special_tokens", "added_tokens_decoder", "split_special_tokens", "init_inputs", "auto_map",
        // and what no id depends on: other keys of the library's bookkeeping, decoding, padding and training
        "add_bos_token", "add_eos_token", "backend", "chat_template", "clean_up_tokenization_spaces", "device_map",
        "do_basic_tokenize", "errors", "is_local", "local_files_only", "max_length", "merges_file", "name_or_path",
        "never_split", "pad_to_multiple_of", "pad_token_type_id", "padding_side", "processor_class",
        "special_tokens_map_file", "stride", "tokenizer_file", "trim_offsets", "truncation_strategy", "use_fast",
        "vocab_file", "verbose", "_commit_hash", "transformers_version", "truncation", "padding"};
    for (const auto& [key, value] : config_.items()) {
      const bool token = key.ends_with("_token") || key.ends_with("_token_id");
      if (!known.contains(key) && !token && !value.is_null() && value != Json(false) && !value.empty())
        out_.unread.push_back("tokenizer_config.json: '" + key.substr(0, 80) + "'");
    }
  }

  Status read_text_settings() {
    if (has(config_, "do_lower_case")) {
      FATHOM_TRY(out_.wants_lower_case, json_bool(config_, "do_lower_case", where_));
    }
    if (has(config_, "add_prefix_space")) {
      FATHOM_TRY(out_.wants_prefix_space, json_bool(config_, "add_prefix_space", where_));
    }
    NormalizerOptions& options = out_.normalizer;
    options.lowercase = out_.wants_lower_case.value_or(true);
    FATHOM_TRY(options.handle_chinese_chars, flag_or(config_, "tokenize_chinese_chars", true, where_));
    FATHOM_TRY(options.strip_accents, flag_or(config_, "strip_accents", options.lowercase, where_));
    out_.add_prefix_space = out_.wants_prefix_space.value_or(false);
    if (out_.kind == TokenizerSettings::Kind::bert) {
      for (const char* key : {"do_basic_tokenize", "never_split"})
        if (has(config_, key) && config_[key] != Json(true) && !config_[key].empty())
          out_.notes.push_back(std::string("tokenizer_config.json: '") + key +
                               "' is passed over, as transformers 5 does; a slow tokenizer of transformers 4 obeys it");
    }
    return {};
  }

  Status read_length() {
    const char* key = has(config_, "model_max_length") ? "model_max_length" : "max_len";
    if (has(config_, key)) {
      const Json& value = config_[key];
      if (!value.is_number()) return damaged_file(where_, std::string("'") + key + "' must be a number");
      const double longest = value.get<double>();
      if (!(longest >= 1))
        return refuse(std::string("'") + key + "' is " + value.dump().substr(0, 40) + ", at least 1 is expected",
                      "the most ids of one input");
      if (longest < 1e9) out_.longest = static_cast<std::int64_t>(longest);  // 1e30 is how "none" is written
    }
    if (!has(config_, "truncation_side")) return {};
    FATHOM_TRY(const std::string side, json_string(config_, "truncation_side", where_));
    if (side != "left" && side != "right")
      return refuse("'truncation_side' is \"" + side.substr(0, 40) + "\", expected \"left\" or \"right\"", "");
    out_.cut_left = side == "left";
    return {};
  }

  Status read_inputs() {
    if (!has(config_, "model_input_names")) return {};
    const Json& names = config_["model_input_names"];
    if (!names.is_array()) return damaged_file(where_, "'model_input_names' is not a list");
    out_.types = std::find(names.begin(), names.end(), Json("token_type_ids")) != names.end();
    return {};
  }

  Status read_tokens() {
    put_defaults();
    FATHOM_TRY_VOID(read_roles(config_, where_, false));
    FATHOM_TRY_VOID(read_extra(config_, where_, false));
    if (has(config_, "added_tokens_decoder")) return read_decoder(config_["added_tokens_decoder"]);
    std::string where;
    FATHOM_TRY(const Json map, read_object(folder_ / "special_tokens_map.json", where));
    FATHOM_TRY_VOID(read_roles(map, where, true));
    const std::vector<TokenizerSettings::Named> extra = extra_;  // of added_tokens.json, only these are special
    if (extra_.empty()) FATHOM_TRY_VOID(read_extra(map, where, true));
    FATHOM_TRY_VOID(read_added(extra));
    close_tokens();
    return {};
  }

  void put_defaults() {
    using Kind = TokenizerSettings::Kind;
    if (out_.kind == Kind::as_written) return;
    const bool bert = out_.kind == Kind::bert;
    for (const char* role : kRoles) {
      const std::string_view name = role;
      if (bert && (name == "bos_token" || name == "eos_token")) continue;
      const char* content = name == "unk_token"   ? (bert ? "[UNK]" : "<unk>")
                            : name == "sep_token" ? (bert ? "[SEP]" : "</s>")
                            : name == "pad_token" ? (bert ? "[PAD]" : "<pad>")
                            : name == "cls_token" ? (bert ? "[CLS]" : "<s>")
                            : name == "bos_token" ? "<s>"
                            : name == "eos_token" ? "</s>"
                                                  : (bert ? "[MASK]" : "<mask>");
      AddedToken token;
      token.content = content;
      token.special = true;
      out_.named.push_back({role, token});
    }
  }

  void set_role(TokenizerSettings::Named named) {
    for (auto& one : out_.named)
      if (one.role == named.role) {
        one = std::move(named);
        return;
      }
    out_.named.push_back(std::move(named));
  }

  // Keys that end in "_token" name one; null takes a default away.
  Status read_roles(const Json& json, const std::string& where, bool special) {
    for (const auto& [key, value] : json.items()) {
      const bool usual = std::find(kRoles.begin(), kRoles.end(), key) != kRoles.end();
      if (!usual && !(key.ends_with("_token") && value.is_string())) continue;
      if (value.is_null()) {
        std::erase_if(out_.named, [&](const auto& one) { return one.role == key; });
        continue;
      }
      FATHOM_TRY(TokenizerSettings::Named named, read_named(key, value, where, special));
      set_role(std::move(named));
    }
    return {};
  }

  Status read_extra(const Json& json, const std::string& where, bool special) {
    for (const char* key : {"extra_special_tokens", "additional_special_tokens"}) {
      if (!has(json, key) || json[key].empty()) continue;
      const Json& list = json[key];
      if (!list.is_array() && !list.is_object()) return damaged_file(where, std::string("'") + key + "' is not a list");
      for (const auto& [name, value] : list.items()) {
        FATHOM_TRY(TokenizerSettings::Named named, read_named(list.is_object() ? name : "", value, where, special));
        if (list.is_object())
          set_role(std::move(named));
        else
          extra_.push_back(std::move(named));
      }
      return {};
    }
    return {};
  }

  Status put_added(const std::string& id, AddedToken token, const std::string& where) {
    std::int64_t number = -1;
    const auto [end, failed] = std::from_chars(id.data(), id.data() + id.size(), number);
    if (failed != std::errc() || end != id.data() + id.size() || number < 0 || number >= kMostIds)
      return damaged_file(where, "'" + id.substr(0, 40) + "' is no id of a token");
    if (out_.added.size() == kMostAdded) return Error{Code::limit, where + ": more than 100000 added tokens", ""};
    out_.added[number] = std::move(token);
    return {};
  }

  Status read_decoder(const Json& decoder) {
    out_.added_are_all = true;
    if (!decoder.is_object()) return damaged_file(where_, "'added_tokens_decoder' is not an object");
    for (const auto& [id, value] : decoder.items()) {
      FATHOM_TRY(AddedToken token, read_flags(value, where_ + " added_tokens_decoder"));
      FATHOM_TRY_VOID(put_added(id, std::move(token), where_ + " added_tokens_decoder"));
    }
    close_tokens();
    return {};
  }

  Status read_added(const std::vector<TokenizerSettings::Named>& extra) {
    std::string where;
    FATHOM_TRY(const Json added, read_object(folder_ / "added_tokens.json", where));
    const auto is = [](const std::string& name) {
      return [&name](const TokenizerSettings::Named& one) { return one.token.content == name; };
    };
    for (const auto& [name, id] : added.items()) {
      AddedToken token;
      token.content = name;
      token.special = std::any_of(out_.named.begin(), out_.named.end(), is(name)) ||
                      std::any_of(extra.begin(), extra.end(), is(name));
      token.normalized = !token.special;
      FATHOM_TRY_VOID(put_added(id.is_number_integer() ? id.dump() : "", std::move(token), where));
    }
    return {};
  }

  // The usual roles in the library's order, then a folder's own, then those without a role.
  void close_tokens() {
    std::stable_sort(out_.named.begin(), out_.named.end(), [](const auto& a, const auto& b) {
      return std::find(kRoles.begin(), kRoles.end(), a.role) - kRoles.begin() <
             std::find(kRoles.begin(), kRoles.end(), b.role) - kRoles.begin();
    });
    out_.named.insert(out_.named.end(), extra_.begin(), extra_.end());
  }

  const fs::path folder_;
  Json config_;
  std::string where_;
  TokenizerSettings out_;
  std::vector<TokenizerSettings::Named> extra_;
};

}  // namespace

const AddedToken* TokenizerSettings::role(std::string_view role) const {
  for (const Named& one : named)
    if (one.role == role) return &one.token;
  return nullptr;
}

Result<TokenizerSettings> read_tokenizer_settings(const fs::path& folder) { return Settings(folder).read(); }

TokenizerSettings bert_settings() { return Settings({}).bert(); }

std::vector<AddedToken> tokens_to_add(const TokenizerSettings& settings,
                                      const std::vector<std::pair<std::int64_t, AddedToken>>& written,
                                      const std::vector<AddedToken>& there) {
  std::map<std::int64_t, AddedToken> added = settings.added;
  std::map<std::string, AddedToken> by_name;
  for (const auto& [id, token] : added) by_name[token.content] = token;
  if (!settings.added_are_all)
    for (const auto& [id, token] : written) by_name[token.content] = added[id] = token;
  std::set<std::string> roles;
  for (const auto& one : settings.named)
    if (!one.role.empty()) roles.insert(one.token.content);

  std::vector<AddedToken> out;
  std::map<std::string, AddedToken> known;
  for (const AddedToken& token : there) known[token.content] = token;
  const auto put = [&](AddedToken token) {
    token.special = token.special || roles.contains(token.content);
    out.push_back(std::move(token));
  };
  for (const auto& [id, token] : added) {
    const auto other = known.find(token.content);
    AddedToken same = token;
    if (other != known.end()) same.id = other->second.id;
    if (other == known.end() || !(same == other->second)) put(token);
  }
  for (const AddedToken& token : out) known[token.content] = token;
  for (const auto& one : settings.named) {
    if (known.contains(one.token.content)) continue;
    const auto found = by_name.find(one.token.content);
    put(found != by_name.end() && !one.role.empty() ? found->second : one.token);
  }
  return out;
}

}  // namespace fathom::data
