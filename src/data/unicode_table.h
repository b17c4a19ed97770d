// The Unicode facts that BERT's normalizer and pre-tokenizer need, as sorted tables (unicode_table.cpp, generated).
// Thread rule: constants.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fathom::data {

struct CodeRange { std::uint32_t first, last; };
struct LowerRun { std::uint32_t first, last, stride; std::int32_t shift; };  // every stride-th code point, plus shift
struct CodePair { std::uint32_t from, to; };
struct CodeParts { std::uint32_t from, to[3]; };  // 0: none

extern const CodeRange kDropped[], kMarks[], kPunctuation[], kSpaces[], kIdeographs[];
extern const std::size_t kDroppedSize, kMarksSize, kPunctuationSize, kSpacesSize, kIdeographsSize;
extern const LowerRun kLower[];
extern const std::size_t kLowerSize;
extern const CodePair kBases[];  // canonical decomposition without marks, where one code point is left
extern const std::size_t kBasesSize;
extern const CodeParts kParts[];  // where two or three are left (Hangul syllables are computed)
extern const std::size_t kPartsSize;

}  // namespace fathom::data
