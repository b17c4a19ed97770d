// The Unicode facts that the normalizer, the pre-tokenizers and added tokens need, as sorted tables (unicode_table.cpp,
// generated). Thread rule: constants and a pure function.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace fathom::data {

struct CodeRange {
  std::uint32_t first, last;
};
struct LowerRun {
  std::uint32_t first, last, stride;
  std::int32_t shift;
};  // every stride-th code point, plus shift
struct ClassRange {
  std::uint32_t first, last, value;
};
struct CodePair {
  std::uint32_t from, to;
};
struct CodeParts {
  std::uint32_t from, to[3];
};  // 0: none

extern const CodeRange kDropped[], kMarks[], kPunctuation[], kSpaces[], kIdeographs[];
extern const std::size_t kDroppedSize, kMarksSize, kPunctuationSize, kSpacesSize, kIdeographsSize;
// Of the byte-level pattern (\p{L}, \p{N}, \s) and of words beside added tokens (\w).
extern const CodeRange kLetters[], kNumbers[], kPatternSpaces[], kWord[];
extern const std::size_t kLettersSize, kNumbersSize, kPatternSpacesSize, kWordSize;
extern const ClassRange kCombining[];  // canonical combining class, where it is not 0
extern const std::size_t kCombiningSize;
extern const LowerRun kLower[];
extern const std::size_t kLowerSize;
extern const CodePair kBases[];  // canonical decomposition without marks, where one code point is left
extern const std::size_t kBasesSize;
extern const CodeParts kParts[];  // where two or three are left (Hangul syllables are computed)
extern const std::size_t kPartsSize;

inline bool within(const CodeRange* ranges, std::size_t size, char32_t code) {
  const CodeRange* found =
      std::upper_bound(ranges, ranges + size, code, [](char32_t c, const CodeRange& r) { return c < r.first; });
  return found != ranges && code <= (found - 1)->last;
}

}  // namespace fathom::data
