#include "base/quote.h"

#include <algorithm>

namespace fathom {

std::string printable(std::string_view text, std::size_t most, bool lines) {
  std::string out;
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const unsigned char c = at(i);
    if (out.size() >= most && (c & 0xC0) != 0x80) return out + "...";
    if (out.size() >= most + 4) return out + "...";                                  // bytes that are no text at all
    const bool wide_control = c == 0xC2 && i + 1 < text.size() && at(i + 1) < 0xA0;  // U+0080..U+009F
    if (wide_control) ++i;
    out += wide_control || c == 0x7F || (c < 0x20 && !(lines && c == '\n')) ? '?' : static_cast<char>(c);
  }
  return out;
}

std::string quote(std::string_view text, std::size_t most) { return "'" + printable(text, most) + "'"; }

std::string printable_message(std::string_view text) {
  constexpr std::size_t kMost = 1200, kEnd = 400;
  if (text.size() <= kMost) return printable(text, kMost);
  std::size_t tail = text.size() - kEnd;
  while (tail < text.size() && (static_cast<unsigned char>(text[tail]) & 0xC0) == 0x80) ++tail;
  return printable(text, kMost - kEnd) + " " + printable(text.substr(tail), kEnd);
}

std::optional<Foreign> foreign_kind(std::string_view first_bytes) {
  constexpr std::string_view kPointer = "version https://git-lfs";
  if (first_bytes.starts_with(kPointer))
    return Foreign{"is a Git LFS pointer, not the file itself",
                   "in the folder's repository: `git lfs install`, then `git lfs pull`"};
  const std::size_t begin = first_bytes.find_first_not_of(" \t\r\n\xEF\xBB\xBF");
  if (begin == std::string_view::npos) return std::nullopt;
  std::string start(first_bytes.substr(begin, 9));
  std::transform(start.begin(), start.end(), start.begin(), [](unsigned char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : static_cast<char>(c);
  });
  if (start.starts_with("<!doctype") || start.starts_with("<html"))
    return Foreign{"is a web page, not the file itself", "download the file again; a page came in its place"};
  return std::nullopt;
}

}  // namespace fathom
