#include "data/line_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "data/plain_text.h"

namespace fathom::data {
namespace {

constexpr std::size_t kBlock = std::size_t{1} << 16;

Error unreadable(const std::string& where, int why) {
  return {Code::io, where + ": cannot read: " + std::strerror(why), "check the path and the permissions"};
}

}  // namespace

Result<LineReader> LineReader::open(const std::filesystem::path& file) {
  const std::string where = "'" + file.string() + "'";
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return unreadable(where, errno);
  LineReader reader(fd, where);
  reader.own_ = true;
  struct stat status {};
  if (::fstat(fd, &status) != 0) return unreadable(where, errno);
  if (!S_ISREG(status.st_mode)) return Error{Code::io, where + ": not a regular file", "give the path of a file"};
  return reader;
}

LineReader::LineReader(LineReader&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      own_(std::exchange(other.own_, false)),
      begun_(other.begun_),
      ended_(other.ended_),
      where_(std::move(other.where_)),
      block_(std::move(other.block_)),
      at_(other.at_),
      number_(other.number_) {}

LineReader::~LineReader() {
  if (own_ && fd_ >= 0) ::close(fd_);
}

// The next block; the first one is looked at closely, so it holds 8 bytes if the file does.
Status LineReader::fill() {
  block_.resize(kBlock);
  std::size_t have = 0;
  while (!ended_ && have < (begun_ ? 1u : 8u)) {
    const ssize_t got = ::read(fd_, block_.data() + have, kBlock - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return unreadable(where_, errno);
    ended_ = got == 0;
    have += static_cast<std::size_t>(got);
  }
  block_.resize(have);
  at_ = 0;
  if (!begun_) {
    FATHOM_TRY_VOID(check_text_beginning(block_, where_));
    if (block_.starts_with(kByteOrderMark)) at_ = kByteOrderMark.size();
  }
  begun_ = true;
  return check_no_zeros(block_, where_, number_ + 1);
}

Error LineReader::too_long() const {
  return {Code::limit,
          where_ + ", line " + std::to_string(number_ + 1) + ": more than " + std::to_string(kMaxLineBytes) +
              " bytes, which is the most that are read",
          "one text a line"};
}

Result<std::optional<std::string>> LineReader::next() {
  std::string line;
  bool some = false;
  for (;;) {
    if (at_ == block_.size()) {
      if (!ended_) FATHOM_TRY_VOID(fill());
      if (at_ == block_.size()) break;
    }
    some = true;
    const std::size_t end = std::min(block_.find('\n', at_), block_.size());
    line.append(block_, at_, end - at_);
    if (line.size() > kMaxLineBytes + 1) return too_long();  // 1: a CR, which is not part of the text
    at_ = std::min(end + 1, block_.size());
    if (end < block_.size()) break;
  }
  if (!some) return std::optional<std::string>();
  if (!line.empty() && line.back() == '\r') line.pop_back();
  if (line.size() > kMaxLineBytes) return too_long();
  ++number_;
  return std::optional(std::move(line));
}

}  // namespace fathom::data
