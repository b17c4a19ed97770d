// Tokens that are found in the text before the model sees it: special ones ("[CLS]", "<mask>") and a user's own, with
// the flags of the Hugging Face library. Those with `normalized` are looked for in the normalized text, the others
// before. At each place the longest wins. Thread rule: immutable once made.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "data/piece_trie.h"

namespace fathom::data {

struct AddedToken {
  std::string content;
  std::int32_t id = 0;
  bool single_word = false;  // only where no word character touches it
  bool lstrip = false;       // takes the white space on its left with it
  bool rstrip = false;
  bool normalized = false;
  bool special = false;

  bool operator==(const AddedToken&) const = default;
};

class AddedTokenFinder {
 public:
  AddedTokenFinder() = default;
  // patterns[i] stands for tokens[i] in the text; of equal patterns the first counts. Errors: an empty pattern.
  static Result<AddedTokenFinder> make(std::vector<AddedToken> tokens, const std::vector<std::string>& patterns);
  bool empty() const { return tokens_.empty(); }

  // Calls text_part(part) and token(id) in the order of the text; both return false to stop. False if stopped.
  template <class Part, class Token>
  bool each(std::string_view text, const Part& text_part, const Token& token) const {
    std::size_t done = 0;
    for (std::size_t from = 0; !tokens_.empty();) {
      const Found found = next(text, from, done);
      if (found.token == nullptr) break;
      if (done < found.begin && !text_part(text.substr(done, found.begin - done))) return false;
      if (!token(found.token->id)) return false;
      done = found.end;
      from = found.resume;
    }
    return done >= text.size() || text_part(text.substr(done));
  }

 private:
  struct Found {
    const AddedToken* token = nullptr;
    std::size_t begin = 0, end = 0;  // with the white space taken
    std::size_t resume = 0;          // where the search goes on
  };
  Found next(std::string_view text, std::size_t from, std::size_t done) const;
  std::size_t candidate(std::string_view text, std::size_t from) const;  // a place where one may begin

  std::vector<AddedToken> tokens_;
  PieceTrie patterns_;
  std::array<bool, 256> begins_{};  // bytes that a pattern begins with
  int only_ = -1;                   // the one such byte
};

}  // namespace fathom::data
