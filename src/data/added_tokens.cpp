#include "data/added_tokens.h"

#include <algorithm>
#include <set>

#include "data/normalizer.h"
#include "data/unicode_table.h"
#include "data/utf8.h"

namespace fathom::data {
namespace {

constexpr std::size_t kMostBytes = 256;  // of one token: what a search may walk in vain from every place of a text

bool is_word(char32_t code) { return within(kWord, kWordSize, code); }

char32_t code_before(std::string_view text, std::size_t at, std::size_t& begin) {  // at > 0
  begin = at - 1;
  while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) --begin;
  std::size_t unused = begin;
  return next_code_point(text, unused);
}

bool stands_alone(std::string_view text, std::size_t begin, std::size_t end) {
  std::size_t unused = 0;
  if (begin > 0 && is_word(code_before(text, begin, unused))) return false;
  return end == text.size() || !is_word(next_code_point(text, end));
}

std::size_t skip_spaces_back(std::string_view text, std::size_t at, std::size_t stop) {
  for (std::size_t begin = at; at > stop; at = begin)
    if (!is_space(code_before(text, at, begin))) break;
  return std::max(at, stop);
}

std::size_t skip_spaces(std::string_view text, std::size_t at) {
  for (std::size_t next = at; at < text.size(); at = next)
    if (!is_space(next_code_point(text, next))) break;
  return at;
}

}  // namespace

Result<AddedTokenFinder> AddedTokenFinder::make(std::vector<AddedToken> tokens,
                                                const std::vector<std::string>& patterns) {
  AddedTokenFinder finder;
  std::set<std::string> seen;
  std::vector<std::string> kept;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (patterns[i].size() > kMostBytes)
      return Error{Code::limit,
                   "added token '" + tokens[i].content.substr(0, 40) + "...' has " +
                       std::to_string(patterns[i].size()) + " bytes, at most " + std::to_string(kMostBytes) +
                       " are read",
                   "a text is searched for it from every place"};
    if (patterns[i].empty())
      return Error{Code::unsupported, "added token '" + tokens[i].content + "' is empty once normalized", ""};
    if (!seen.insert(patterns[i]).second) continue;
    kept.push_back(patterns[i]);
    finder.tokens_.push_back(std::move(tokens[i]));
    finder.begins_[static_cast<unsigned char>(patterns[i][0])] = true;
  }
  if (std::count(finder.begins_.begin(), finder.begins_.end(), true) == 1)
    finder.only_ =
        static_cast<int>(std::find(finder.begins_.begin(), finder.begins_.end(), true) - finder.begins_.begin());
  FATHOM_TRY(finder.patterns_, PieceTrie::make(kept));
  return finder;
}

std::size_t AddedTokenFinder::candidate(std::string_view text, std::size_t from) const {
  if (only_ >= 0) return std::min(text.find(static_cast<char>(only_), from), text.size());
  while (from < text.size() && !begins_[static_cast<unsigned char>(text[from])]) ++from;
  return from;
}

AddedTokenFinder::Found AddedTokenFinder::next(std::string_view text, std::size_t from, std::size_t done) const {
  for (from = candidate(text, from); from < text.size(); from = candidate(text, from)) {
    const PieceTrie::Match match = patterns_.longest(0, text.substr(from));
    if (match.id < 0) {
      ++from;
      continue;
    }
    Found found{&tokens_[static_cast<std::size_t>(match.id)], from, from + match.bytes, from + match.bytes};
    from = found.end;
    if (found.token->single_word && !stands_alone(text, found.begin, found.end)) continue;
    if (found.token->lstrip) found.begin = skip_spaces_back(text, found.begin, done);
    if (found.token->rstrip) found.end = found.end < done ? done : skip_spaces(text, found.end);
    return found;
  }
  return {};
}

}  // namespace fathom::data
