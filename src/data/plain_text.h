// The one gate for text files, whatever verb reads them: what is packed, in UTF-16 or binary is refused by its bytes,
// with what to do about it, before a word of it is taken for data.
// Errors: bad_input with the line of the first zero byte. Thread rule: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace fathom::data {

inline constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";  // of UTF-8

// A file's first bytes (8 are enough): gzip, zip and its kin, UTF-16 or UTF-32 are refused.
Status check_text_beginning(std::string_view bytes, const std::string& where);
// Any later piece: no zero bytes. `line`: of its first byte, from 1.
Status check_no_zeros(std::string_view bytes, const std::string& where, std::uint64_t line = 1);
// Both, of a whole file.
Status check_plain_text(std::string_view bytes, const std::string& where);

}  // namespace fathom::data
