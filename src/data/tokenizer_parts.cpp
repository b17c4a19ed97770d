#include "data/tokenizer_parts.h"

namespace fathom::data {

Status TokenizerParts::index_added() {
  std::vector<AddedToken> raw, normalized;
  std::vector<std::string> raw_patterns, normalized_patterns;
  for (const bool special : {true, false})  // of equal patterns a special token counts
    for (const AddedToken& token : added) {
      if (token.special != special) continue;
      (token.normalized ? normalized : raw).push_back(token);
      std::string pattern = token.content;
      const auto* word_piece = std::get_if<WordPieceModel>(&model);
      if (token.normalized && word_piece != nullptr) {
        pattern.clear();
        word_piece->normalizer().normalize(token.content, pattern);
      }
      (token.normalized ? normalized_patterns : raw_patterns).push_back(std::move(pattern));
    }
  FATHOM_TRY(raw_added, AddedTokenFinder::make(std::move(raw), raw_patterns));
  FATHOM_TRY(normalized_added, AddedTokenFinder::make(std::move(normalized), normalized_patterns));
  return {};
}

Result<Tokenizer> TokenizerParts::finish(std::shared_ptr<TokenizerParts> parts) {
  FATHOM_TRY_VOID(parts->index_added());
  return Tokenizer(std::move(parts));
}

TemplatePart special_part(const std::string& name, std::int32_t id, std::int32_t type) {
  return {TemplatePart::Kind::special, type, name, {name}, {id}};
}

SequenceTemplate bert_template(const TemplatePart& begin, const TemplatePart* end) {
  SequenceTemplate form;
  form.single.push_back(begin);
  form.single.push_back({TemplatePart::Kind::first, 0, "", {}, {}});
  if (end != nullptr) form.single.push_back(*end);
  form.pair = form.single;
  form.pair.push_back({TemplatePart::Kind::second, 1, "", {}, {}});
  if (end != nullptr) {
    form.pair.push_back(*end);
    form.pair.back().type = 1;
  }
  return form;
}

}  // namespace fathom::data
