// Lines of a text file or of standard input as they come: memory is one block and one line, however much there is, and
// a line that is too long is refused while it is read. LF and CRLF end a line, a byte order mark is dropped, and what
// is no text is refused (plain_text.h).
// Errors: io, bad_input (no text), limit (a line above 1 MiB). Thread rule: one at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "base/result.h"

namespace fathom::data {

inline constexpr std::size_t kMaxLineBytes = std::size_t{1} << 20;

class LineReader {
 public:
  static Result<LineReader> open(const std::filesystem::path& file);
  // Reads from `fd`, which stays the caller's.
  LineReader(int fd, std::string where) : fd_(fd), where_(std::move(where)) {}
  LineReader(LineReader&& other) noexcept;
  LineReader& operator=(LineReader&&) = delete;
  ~LineReader();

  // The next line without its end; nothing behind the last one.
  Result<std::optional<std::string>> next();
  std::uint64_t number() const { return number_; }  // of the line that next() gave last, from 1
  const std::string& where() const { return where_; }

 private:
  Status fill();
  Error too_long() const;

  int fd_ = -1;
  bool own_ = false, begun_ = false, ended_ = false;
  std::string where_, block_;
  std::size_t at_ = 0;  // in block_
  std::uint64_t number_ = 0;
};

}  // namespace fathom::data
