#include "data/tokenizer_parts.h"

#include <algorithm>
#include <unordered_map>

namespace fathom::data {

void TokenizerParts::add(const PieceIndex& index, const std::vector<AddedToken>& tokens) {
  std::unordered_map<std::string, std::size_t> by_name;
  std::unordered_map<std::int32_t, std::size_t> by_id;
  std::int32_t next = index.count();
  for (std::size_t i = 0; i < added.size(); ++i) {
    by_name[added[i].content] = by_id[added[i].id] = i;
    next = std::max(next, added[i].id + 1);
  }
  for (AddedToken token : tokens) {
    if (token.content.empty()) continue;
    const auto known = by_name.find(token.content);
    const std::int32_t in_model = index.find(token.content);
    token.id = known != by_name.end() ? added[known->second].id : in_model >= 0 ? in_model : next++;
    const auto other = by_id.find(token.id);  // itself, or one whose id this one takes
    const std::size_t place = other != by_id.end() ? other->second : added.size();
    if (place == added.size())
      added.emplace_back();
    else
      by_name.erase(added[place].content);
    by_name[token.content] = by_id[token.id] = place;
    added[place] = std::move(token);
  }
}

std::int32_t TokenizerParts::id_of(const PieceIndex& index, const std::string& content) const {
  for (const AddedToken& token : added)
    if (token.content == content) return token.id;
  return index.find(content);
}

std::int32_t TokenizerParts::ids_end() const {
  std::int32_t end = vocabulary.end();
  for (const AddedToken& token : added) end = std::max(end, token.id + 1);
  return end;
}

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

SequenceTemplate roberta_template(const TemplatePart& begin, const TemplatePart& end) {
  SequenceTemplate form = bert_template(begin, &end);
  form.pair.insert(form.pair.begin() + 3, end);
  for (TemplatePart& part : form.pair) part.type = 0;
  return form;
}

}  // namespace fathom::data
