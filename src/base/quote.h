// Text of untrusted files made fit for a message or a terminal: no control characters (they could move the cursor, set
// the title, forge lines), and never more of it than a reader can use. Thread rule: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace fathom {

// At most `most` bytes, cut between characters ("..." follows); control characters become '?'. Line breaks stay with
// `lines`.
std::string printable(std::string_view text, std::size_t most, bool lines = false);

std::string quote(std::string_view text, std::size_t most = 80);  // 'printable text'

// A message that may quote megabytes of a hostile file: printable, and of a long one its beginning and its end.
std::string printable_message(std::string_view text);

// What a file is that should have been another one: of its first bytes.
struct Foreign {
  std::string what, next;  // "is a Git LFS pointer, not the file itself"; what to do
};
std::optional<Foreign> foreign_kind(std::string_view first_bytes);

}  // namespace fathom
