// BERT's normalizer and pre-tokenizer: damaged and control characters dropped, white space unified, ideographs
// set apart, accents stripped, lower case, punctuation split off. The result is what Hugging Face's BertNormalizer and
// BertPreTokenizer give. Thread rule: pure functions.
#pragma once

#include <string>
#include <string_view>

namespace fathom::data {

struct NormalizerOptions {
  bool clean_text = true;
  bool handle_chinese_chars = true;
  bool strip_accents = true;
  bool lowercase = true;
};

// Appends the words of `text` to `words` as UTF-8, each followed by one '\n' (no word holds one).
void split_words(std::string_view text, const NormalizerOptions& options, std::string& words);

bool is_punctuation(char32_t code);
bool is_ideograph(char32_t code);

}  // namespace fathom::data
