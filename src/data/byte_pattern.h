// How byte-level BPE cuts a text into words: the pattern of GPT-2,
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
// walked by hand, and the printable characters that stand for the 256 bytes in its vocabularies.
// Source: Radford et al., "Language Models are Unsupervised Multitask Learners" (2019).
// Thread rule: pure functions.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace fathom::data {

// Where the word that begins at text[at] ends (text: valid UTF-8, at < text.size()).
std::size_t next_byte_word(std::string_view text, std::size_t at);

// The character of each byte: itself if it prints in Latin-1, else one of U+0100 and up, in order.
const std::array<char32_t, 256>& byte_characters();
// The bytes that a piece of such a vocabulary stands for; none if it holds another character.
std::optional<std::string> bytes_of_piece(std::string_view piece);

}  // namespace fathom::data
