// A row of a text split as ids: one text, or the two of a pair with the token type of every id.
// Thread rule: pure function.
#pragma once

#include <cstdint>
#include <vector>

#include "data/dataset.h"
#include "data/tokenizer.h"

namespace fathom::data {

// Appends to `ids`; to `types` only where the split holds pairs. True if the row was cut to max_tokens.
inline bool encode_row(const Tokenizer& tokenizer, const Split& split, std::size_t row, int max_tokens,
                       std::vector<std::int32_t>& ids, std::vector<std::int32_t>& types) {
  if (split.second.empty()) return tokenizer.encode(split.texts[row], max_tokens, ids);
  return tokenizer.encode_pair(split.texts[row], split.second[row], max_tokens, ids, types);
}

}  // namespace fathom::data
