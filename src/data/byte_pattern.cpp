#include "data/byte_pattern.h"

#include <algorithm>
#include <cstdint>

#include "data/unicode_table.h"
#include "data/utf8.h"

namespace fathom::data {
namespace {

enum class Kind : std::uint8_t { other, letter, number, space };

constexpr std::array<Kind, 128> kAscii = [] {
  std::array<Kind, 128> kinds{};
  for (std::size_t c = 'a'; c <= 'z'; ++c) kinds[c] = kinds[c - 32] = Kind::letter;
  for (std::size_t c = '0'; c <= '9'; ++c) kinds[c] = Kind::number;
  for (std::size_t c = 9; c <= 13; ++c) kinds[c] = Kind::space;
  kinds[' '] = Kind::space;
  return kinds;
}();

Kind kind_of(char32_t code) {
  if (code < 128) return kAscii[code];
  if (within(kLetters, kLettersSize, code)) return Kind::letter;
  if (within(kNumbers, kNumbersSize, code)) return Kind::number;
  return within(kPatternSpaces, kPatternSpacesSize, code) ? Kind::space : Kind::other;
}

bool plain(char c) { return static_cast<unsigned char>(c) < 128; }

// Where the run of `kind` that holds text[at] ends; `last` becomes the place of its last character.
std::size_t end_of_run(std::string_view text, std::size_t at, Kind kind, std::size_t& last) {
  while (at < text.size()) {
    std::size_t next = at + 1;
    if (plain(text[at])) {
      if (kAscii[static_cast<unsigned char>(text[at])] != kind) break;
    } else {
      next = at;
      if (kind_of(next_code_point(text, next)) != kind) break;
    }
    last = at;
    at = next;
  }
  return at;
}

// Bytes of the contraction at text[at], an apostrophe; 0 if there is none.
std::size_t contraction(std::string_view text, std::size_t at) {
  constexpr std::array<std::string_view, 7> kEndings = {"s", "t", "re", "ve", "m", "ll", "d"};
  const std::string_view rest = text.substr(at + 1);
  for (const std::string_view ending : kEndings)
    if (rest.starts_with(ending)) return 1 + ending.size();
  return 0;
}

}  // namespace

std::size_t next_byte_word(std::string_view text, std::size_t at) {
  if (text[at] == '\'') {
    const std::size_t bytes = contraction(text, at);
    if (bytes > 0) return at + bytes;
  }
  std::size_t last = at;
  const std::size_t begin = text[at] == ' ' ? at + 1 : at;
  if (begin < text.size()) {
    std::size_t unused = begin;
    const Kind kind = kind_of(next_code_point(text, unused));
    if (kind != Kind::space) return end_of_run(text, begin, kind, last);
  }
  // White space. Its last character is left for the word that follows, unless it is the only one.
  const std::size_t end = end_of_run(text, at, Kind::space, last);
  return end == text.size() || last == at ? end : last;
}

const std::array<char32_t, 256>& byte_characters() {
  static const std::array<char32_t, 256> kCharacters = [] {
    std::array<char32_t, 256> characters{};
    char32_t next = 256;
    for (char32_t byte = 0; byte < 256; ++byte) {
      const bool prints = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
      characters[byte] = prints ? byte : next++;
    }
    return characters;
  }();
  return kCharacters;
}

std::optional<std::string> bytes_of_piece(std::string_view piece) {
  const auto& characters = byte_characters();
  std::string bytes;
  for (std::size_t at = 0; at < piece.size();) {
    const char32_t code = next_code_point(piece, at);
    const auto found = std::find(characters.begin(), characters.end(), code);
    if (found == characters.end()) return std::nullopt;
    bytes += static_cast<char>(found - characters.begin());
  }
  return bytes;
}

}  // namespace fathom::data
