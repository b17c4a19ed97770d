// What stands around one text or two: "[CLS] A [SEP]", "<s> A </s></s> B </s>", with the token type of every place.
// Thread rule: plain values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace fathom::data {

struct TemplatePart {
  enum class Kind { special, first, second };
  Kind kind = Kind::special;
  std::int32_t type = 0;
  std::string name;                 // of a special part
  std::vector<std::string> tokens;  // and what it is made of
  std::vector<std::int32_t> ids;
};

struct SequenceTemplate {
  std::vector<TemplatePart> single, pair;

  static std::size_t special_count(const std::vector<TemplatePart>& parts) {
    std::size_t count = 0;
    for (const TemplatePart& part : parts) count += part.ids.size();
    return count;
  }
};

}  // namespace fathom::data
