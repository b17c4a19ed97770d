#include "data/normalizer.h"

#include <algorithm>
#include <array>

#include "data/unicode_table.h"
#include "data/utf8.h"

namespace fathom::data {
namespace {

bool within(const CodeRange* ranges, std::size_t size, char32_t code) {
  const CodeRange* end = ranges + size;
  const CodeRange* found = std::upper_bound(ranges, end, code, [](char32_t c, const CodeRange& r) { return c < r.first; });
  return found != ranges && code <= (found - 1)->last;
}

bool is_space(char32_t code) { return code < 128 ? code == ' ' || (code >= 9 && code <= 13) : within(kSpaces, kSpacesSize, code); }

char32_t lower(char32_t code) {
  const LowerRun* found = std::upper_bound(kLower, kLower + kLowerSize, code, [](char32_t c, const LowerRun& r) { return c < r.first; });
  if (found == kLower) return code;
  --found;
  if (code > found->last || (code - found->first) % found->stride != 0) return code;
  return static_cast<char32_t>(static_cast<std::int32_t>(code) + found->shift);
}

// Canonical decomposition without non-spacing marks; returns how many code points are left in `out`.
int without_marks(char32_t code, std::array<char32_t, 3>& out) {
  if (code >= 0xAC00 && code <= 0xD7A3) {  // Hangul: Unicode standard, section 3.12
    const char32_t index = code - 0xAC00;
    out = {0x1100 + index / 588, 0x1161 + index % 588 / 28, 0x11A7 + index % 28};
    return index % 28 == 0 ? 2 : 3;
  }
  if (within(kMarks, kMarksSize, code)) return 0;
  out[0] = code;
  const CodePair* base = std::lower_bound(kBases, kBases + kBasesSize, code, [](const CodePair& p, char32_t c) { return p.from < c; });
  if (base != kBases + kBasesSize && base->from == code) {
    out[0] = base->to;
    return 1;
  }
  const CodeParts* parts = std::lower_bound(kParts, kParts + kPartsSize, code, [](const CodeParts& p, char32_t c) { return p.from < c; });
  if (parts == kParts + kPartsSize || parts->from != code) return 1;
  int count = 0;
  while (count < 3 && parts->to[count] != 0) {
    out[static_cast<std::size_t>(count)] = parts->to[count];
    ++count;
  }
  return count;
}

class Words {
 public:
  explicit Words(std::string& out) : out_(out) {}
  void put(char32_t code) {
    append_utf8(code, out_);
    open_ = true;
  }
  void close() {
    if (open_) out_ += '\n';
    open_ = false;
  }
  void put_final(char32_t code) {  // after normalization: split at white space and punctuation
    if (is_space(code)) return close();
    if (!is_punctuation(code)) return put(code);
    close();
    put(code);
    close();
  }

 private:
  std::string& out_;
  bool open_ = false;
};

void put_wide(char32_t code, const NormalizerOptions& options, Words& words) {
  if (options.clean_text && within(kDropped, kDroppedSize, code)) return;
  const bool alone = options.handle_chinese_chars && is_ideograph(code);
  if (alone) words.close();
  std::array<char32_t, 3> left{code};
  const int count = options.strip_accents ? without_marks(code, left) : 1;
  for (int i = 0; i < count; ++i) {
    const char32_t one = left[static_cast<std::size_t>(i)];
    words.put_final(options.lowercase ? lower(one) : one);
    // The only code point whose lower case is two (i and a combining dot); stripping accents takes it apart before.
    if (options.lowercase && one == 0x130) words.put_final(0x307);
  }
  if (alone) words.close();
}

}  // namespace

bool is_punctuation(char32_t code) {
  if (code < 128) return (code >= 33 && code <= 47) || (code >= 58 && code <= 64) || (code >= 91 && code <= 96) || (code >= 123 && code <= 126);
  return within(kPunctuation, kPunctuationSize, code);
}

bool is_ideograph(char32_t code) { return code >= 0x3400 && within(kIdeographs, kIdeographsSize, code); }

void split_words(std::string_view text, const NormalizerOptions& options, std::string& words) {
  Words out(words);
  for (std::size_t at = 0; at < text.size();) {
    const char32_t code = next_code_point(text, at);
    const bool control = (code < 32 || code == 127) && code != '\t' && code != '\n' && code != '\r';
    if (code >= 128) {
      put_wide(code, options, out);
    } else if (!(options.clean_text && control)) {
      out.put_final(options.lowercase && code >= 'A' && code <= 'Z' ? code + 32 : code);
    }
  }
  out.close();
}

}  // namespace fathom::data
