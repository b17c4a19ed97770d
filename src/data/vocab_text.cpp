// A bare vocab.txt: BERT's defaults, with what tokenizer_config.json says of the normalizer.
#include <array>

#include "data/tokenizer_file.h"
#include "data/tokenizer_parts.h"
#include "data/utf8.h"

namespace fathom::data {
namespace {

constexpr std::size_t kMaxPieces = 2'000'000;

Result<NormalizerOptions> read_config(std::string_view config, const std::string& where) {
  NormalizerOptions options;
  if (config.empty()) return options;
  FATHOM_TRY(const Json json, parse_json(config, where, Code::corrupt_bundle));
  if (!json.is_object()) return damaged_file(where, "not a JSON object");
  const auto flag = [&](const char* key, bool usual) -> Result<bool> {
    if (!json.contains(key) || json[key].is_null()) return usual;
    return json_bool(json, key, where);
  };
  FATHOM_TRY(options.lowercase, flag("do_lower_case", true));
  FATHOM_TRY(options.handle_chinese_chars, flag("tokenize_chinese_chars", true));
  FATHOM_TRY(options.strip_accents, flag("strip_accents", options.lowercase));
  return options;
}

}  // namespace

Result<std::shared_ptr<TokenizerParts>> read_vocab_text(std::string_view text, std::string_view config,
                                                        const std::string& where, const std::string& config_where) {
  auto parts = std::make_shared<TokenizerParts>();
  if (!is_utf8(text)) return damaged_file(where, "not UTF-8");
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) return damaged_file(where, "line " + std::to_string(parts->pieces.size() + 1) + " is empty");
    if (parts->pieces.size() == kMaxPieces) return Error{Code::limit, where + ": more than 2000000 pieces", ""};
    parts->pieces.emplace_back(line);
  }
  auto trie = PieceTrie::make(parts->pieces);
  if (!trie.has_value()) return trie.error().within(where);
  constexpr std::array kSpecial = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
  for (const char* name : kSpecial) {
    const std::int32_t id = trie->find(name);
    if (id < 0) return damaged_file(where, std::string("'") + name + "' is missing");
    parts->added.push_back(special_token(name, id));
  }
  const TemplatePart end = special_part("[SEP]", parts->added[3].id);
  parts->form = bert_template(special_part("[CLS]", parts->added[2].id), &end);
  WordPieceOptions options;
  FATHOM_TRY(options.normalizer, read_config(config, config_where));
  FATHOM_TRY(parts->model, WordPieceModel::make(std::move(*trie), options));
  parts->model_pieces = parts->pieces.size();
  return parts;
}

}  // namespace fathom::data
