#include "data/normalizer.h"

#include <algorithm>
#include <array>
#include <vector>

#include "data/unicode_table.h"
#include "data/utf8.h"

namespace fathom::data {
namespace {

constexpr std::size_t kSlack = 64;  // bytes: more than one code point of the text can become

std::uint32_t combining_class(char32_t code) {
  if (code < 0x300) return 0;
  const ClassRange* end = kCombining + kCombiningSize;
  const ClassRange* found =
      std::upper_bound(kCombining, end, code, [](char32_t c, const ClassRange& r) { return c < r.first; });
  return found != kCombining && code <= (found - 1)->last ? (found - 1)->value : 0;
}

char32_t lower(char32_t code) {
  const LowerRun* found =
      std::upper_bound(kLower, kLower + kLowerSize, code, [](char32_t c, const LowerRun& r) { return c < r.first; });
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
  const CodePair* base =
      std::lower_bound(kBases, kBases + kBasesSize, code, [](const CodePair& p, char32_t c) { return p.from < c; });
  if (base != kBases + kBasesSize && base->from == code) {
    out[0] = base->to;
    return 1;
  }
  const CodeParts* parts =
      std::lower_bound(kParts, kParts + kPartsSize, code, [](const CodeParts& p, char32_t c) { return p.from < c; });
  if (parts == kParts + kPartsSize || parts->from != code) return 1;
  int count = 0;
  while (count < 3 && parts->to[count] != 0) {
    out[static_cast<std::size_t>(count)] = parts->to[count];
    ++count;
  }
  return count;
}

}  // namespace

// Splits at white space and punctuation while the code points come in. Writes through a pointer; room is made before.
class BertNormalizer::Words {
 public:
  Words(std::string& out, std::size_t room) : out_(out), size_(out.size()), word_(size_) { make_room(room); }
  ~Words() {
    close();
    out_.resize(size_);
  }
  Words(const Words&) = delete;
  Words& operator=(const Words&) = delete;

  void make_room(std::size_t more) {
    if (out_.size() - size_ < more) out_.resize(std::max(out_.size() * 2, size_ + more));
  }
  void space() { close(); }
  void put(char32_t code) {
    if (data::is_space(code)) return close();
    if (!is_punctuation(code)) return write(code);
    close();
    write(code);
    close();
  }
  // The plain characters of text from `at` on; returns where they end.
  std::size_t put_ascii(std::string_view text, std::size_t at, const BertNormalizer& owner) {
    char* const base = out_.data();
    char* next = base + size_;
    char* word = base + word_;
    for (; at < text.size() && static_cast<unsigned char>(text[at]) < 128; ++at) {
      const auto c = static_cast<unsigned char>(text[at]);
      const Ascii kind = owner.kind_[c];
      if (kind == Ascii::letter) {
        *next++ = owner.to_[c];
        continue;
      }
      if (kind == Ascii::dropped) continue;
      if (next != word) *next++ = '\n';
      if (kind == Ascii::punctuation) {
        *next++ = static_cast<char>(c);
        *next++ = '\n';
      }
      word = next;
    }
    size_ = static_cast<std::size_t>(next - base);
    word_ = static_cast<std::size_t>(word - base);
    return at;
  }

 private:
  void write(char32_t code) { size_ += put_utf8(code, out_.data() + size_); }
  void close() {
    if (size_ != word_) out_[size_++] = '\n';
    word_ = size_;
  }

  std::string& out_;  // longer than what is written
  std::size_t size_;  // bytes written
  std::size_t word_;  // where the open word begins
};

class BertNormalizer::Plain {
 public:
  explicit Plain(std::string& out) : out_(out) {}
  void make_room(std::size_t) {}
  void space() { out_ += ' '; }
  void put(char32_t code) { append_utf8(code, out_); }
  std::size_t put_ascii(std::string_view text, std::size_t at, const BertNormalizer& owner) {
    for (; at < text.size() && static_cast<unsigned char>(text[at]) < 128; ++at) {
      const auto c = static_cast<unsigned char>(text[at]);
      if (owner.kind_[c] == Ascii::dropped) continue;
      out_ += owner.options_.clean_text && owner.kind_[c] == Ascii::space ? ' ' : owner.to_[c];
    }
    return at;
  }

 private:
  std::string& out_;
};

// What happens to a code point beyond ASCII.
template <class Sink>
class BertNormalizer::Steps {
 public:
  Steps(const NormalizerOptions& options, Sink& sink) : options_(options), sink_(sink) {}

  void put(char32_t code) {
    if (options_.clean_text) {
      if (within(kDropped, kDroppedSize, code)) return;
      if (data::is_space(code)) code = ' ';
    }
    const bool alone = options_.handle_chinese_chars && is_ideograph(code);
    if (alone) end_marks();
    if (alone) sink_.space();
    if (options_.strip_accents)
      put_stripped(code);
    else
      put_lowered(code);
    if (alone) sink_.space();
  }

  // Marks that are not stripped stand in the order of their combining class, as canonical decomposition wants it.
  void end_marks() {
    if (marks_.empty()) return;
    std::stable_sort(marks_.begin(), marks_.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    sink_.make_room(marks_.size() * kSlack);
    for (const auto& [order, code] : marks_) put_lowered(code);
    marks_.clear();
  }

 private:
  void put_stripped(char32_t code) {
    std::array<char32_t, 3> left{};
    const int count = without_marks(code, left);
    if (count == 0 && combining_class(code) == 0) end_marks();  // a stripped mark that others do not move across
    for (int i = 0; i < count; ++i) {
      const char32_t one = left[static_cast<std::size_t>(i)];
      const std::uint32_t order = combining_class(one);
      if (order != 0) {
        marks_.emplace_back(order, one);
        continue;
      }
      end_marks();
      put_lowered(one);
    }
  }

  void put_lowered(char32_t code) {
    sink_.put(options_.lowercase ? lower(code) : code);
    // The only code point whose lower case is two (i and a combining dot); stripping accents takes it apart before.
    if (options_.lowercase && code == 0x130) sink_.put(0x307);
  }

  const NormalizerOptions& options_;
  Sink& sink_;
  std::vector<std::pair<std::uint32_t, char32_t>> marks_;
};

bool is_space(char32_t code) {
  return code < 128 ? code == ' ' || (code >= 9 && code <= 13) : within(kSpaces, kSpacesSize, code);
}

bool is_punctuation(char32_t code) {
  if (code < 128)
    return (code >= 33 && code <= 47) || (code >= 58 && code <= 64) || (code >= 91 && code <= 96) ||
           (code >= 123 && code <= 126);
  return within(kPunctuation, kPunctuationSize, code);
}

bool is_ideograph(char32_t code) { return code >= 0x3400 && within(kIdeographs, kIdeographsSize, code); }

BertNormalizer::BertNormalizer(const NormalizerOptions& options) : options_(options) {
  for (std::size_t c = 0; c < 128; ++c) {
    const bool control = (c < 32 || c == 127) && c != '\t' && c != '\n' && c != '\r';
    to_[c] = static_cast<char>(options.lowercase && c >= 'A' && c <= 'Z' ? c + 32 : c);
    kind_[c] = options.clean_text && control              ? Ascii::dropped
               : data::is_space(static_cast<char32_t>(c)) ? Ascii::space
               : is_punctuation(static_cast<char32_t>(c)) ? Ascii::punctuation
                                                          : Ascii::letter;
  }
}

template <class Sink>
void BertNormalizer::run(std::string_view text, Sink& sink) const {
  Steps<Sink> steps(options_, sink);
  for (std::size_t at = 0; at < text.size();) {
    at = sink.put_ascii(text, at, *this);
    while (at < text.size() && static_cast<unsigned char>(text[at]) >= 128) {
      sink.make_room(2 * (text.size() - at) + kSlack);
      steps.put(next_code_point(text, at));
    }
    steps.end_marks();
    sink.make_room(2 * (text.size() - at) + kSlack);
  }
}

void BertNormalizer::split(std::string_view text, std::string& words) const {
  Words sink(words, 2 * text.size() + kSlack);
  run(text, sink);
}

void BertNormalizer::normalize(std::string_view text, std::string& out) const {
  Plain sink(out);
  run(text, sink);
}

void split_words(std::string_view text, const NormalizerOptions& options, std::string& words) {
  BertNormalizer(options).split(text, words);
}

}  // namespace fathom::data
