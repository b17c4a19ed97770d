// UTF-8 in and out, for text that may be damaged. A byte sequence that is not UTF-8 (overlong, surrogate,
// cut short, above U+10FFFF) reads as U+FFFD and consumes its longest valid beginning, at least one byte.
// Thread rule: pure functions.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace fathom::data {

inline constexpr char32_t kReplacement = 0xFFFD;

char32_t next_code_point(std::string_view text, std::size_t& at);  // at < text.size(); moves `at` forward
std::size_t put_utf8(char32_t code, char* out);                    // writes 1 to 4 bytes; returns how many
void append_utf8(char32_t code, std::string& out);
bool is_utf8(std::string_view text);
std::string repair_utf8(std::string_view text);  // damage becomes U+FFFD

}  // namespace fathom::data
