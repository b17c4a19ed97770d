// tokenizer.json from any bytes, then a text through what was read: ids below the vocabulary's size and no more of them
// than asked for, or an error. A zero byte ends the file, the text stands behind it. Seeds:
// tests/parity/**/tokenizer.json.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "data/tokenizer_parts.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string_view all(reinterpret_cast<const char*>(bytes), size);
  const std::size_t end = std::min(all.find('\0'), all.size());
  const std::string_view text =
      end < all.size() ? all.substr(end + 1) : "Some  tEXT, na\xc3\xafve \xe4\xb8\xad\xe6\x96\x87 [MASK] 12.5\xff";
  auto parts = fathom::data::read_tokenizer_json(all.substr(0, end), "fuzz");
  if (!parts) return 0;
  const auto tokenizer = fathom::data::TokenizerParts::finish(*parts);
  if (!tokenizer) return 0;
  for (const int most : {1, 2, 3, 8, 512}) {
    std::vector<std::int32_t> ids, types;
    tokenizer->encode(text, most, ids);
    for (const std::int32_t id : ids)
      FATHOM_CHECK(id >= 0 && id < tokenizer->vocab_size(), "an id outside the vocabulary");
    ids.clear();
    tokenizer->encode_pair(text, "b", most, ids, types);
    FATHOM_CHECK(ids.size() == types.size(), "every id has a type");
  }
  return 0;
}
