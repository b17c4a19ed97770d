// BERT's normalizer and pre-tokenizer: damaged and control characters dropped, white space unified, ideographs
// set apart, accents stripped, lower case, punctuation split off. The result is what Hugging Face's BertNormalizer and
// BertPreTokenizer give. Thread rule: immutable once made.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace fathom::data {

struct NormalizerOptions {
  bool clean_text = true;
  bool handle_chinese_chars = true;
  bool strip_accents = true;
  bool lowercase = true;

  static NormalizerOptions none() { return {false, false, false, false}; }
  bool operator==(const NormalizerOptions&) const = default;
};

class BertNormalizer {
 public:
  explicit BertNormalizer(const NormalizerOptions& options);
  const NormalizerOptions& options() const { return options_; }

  // Appends the words of `text` to `words` as UTF-8, each followed by one '\n' (no word holds one).
  void split(std::string_view text, std::string& words) const;
  // Appends the text as it stands between the normalizer and the pre-tokenizer.
  void normalize(std::string_view text, std::string& out) const;

 private:
  enum class Ascii : std::uint8_t { letter, space, punctuation, dropped };
  class Words;
  class Plain;
  template <class Sink>
  class Steps;
  template <class Sink>
  void run(std::string_view text, Sink& sink) const;

  NormalizerOptions options_;
  std::array<Ascii, 128> kind_{};
  std::array<char, 128> to_{};
};

// BertNormalizer::split in one call, for those who make no normalizer of their own.
void split_words(std::string_view text, const NormalizerOptions& options, std::string& words);

bool is_punctuation(char32_t code);
bool is_ideograph(char32_t code);
bool is_space(char32_t code);

}  // namespace fathom::data
