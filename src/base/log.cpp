#include "base/log.h"

#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/quote.h"

namespace fathom {
namespace {

constexpr std::size_t kMostBytes = 16384;  // of one message: what it quotes may come from anywhere

bool stderr_is_terminal() {
  const char* term = std::getenv("TERM");
  return ::isatty(STDERR_FILENO) == 1 && term != nullptr && std::strcmp(term, "dumb") != 0;
}

}  // namespace

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void say(const std::string& line) { std::fprintf(stderr, "%s\n", printable(line, kMostBytes, true).c_str()); }

void warn(const std::string& line) { std::fprintf(stderr, "warning: %s\n", printable(line, kMostBytes, true).c_str()); }

Progress::Progress(std::string title, long total)
    : title_(std::move(title)), total_(std::max(total, 1L)), started_(seconds_now()), terminal_(stderr_is_terminal()) {}

Progress::~Progress() {
  if (drawn_ && terminal_) std::fputc('\n', stderr);
}

void Progress::update(long done, const std::string& facts) {
  const double now = seconds_now();
  const bool last = done >= total_;
  if (!last && now - shown_ < (terminal_ ? 0.1 : 10.0)) return;
  if (!terminal_ && !last && shown_ < 0 && now - started_ < 10.0) return;
  shown_ = now;
  drawn_ = true;
  const double elapsed = now - started_;
  const double left = done > 0 ? elapsed * static_cast<double>(total_ - done) / static_cast<double>(done) : 0;
  if (terminal_) {
    const int filled = static_cast<int>(24 * std::min(done, total_) / total_);
    char bar[25];
    for (int i = 0; i < 24; ++i) bar[i] = i < filled ? '#' : '.';
    bar[24] = '\0';
    std::fprintf(stderr, "\r\033[K%-22s [%s] %ld/%ld  %.0f s, %.0f s left  %s", title_.c_str(), bar, done, total_,
                 elapsed, left, facts.c_str());
    std::fflush(stderr);
  } else {
    std::fprintf(stderr, "%s: %ld/%ld  %.0f s, %.0f s left  %s\n", title_.c_str(), done, total_, elapsed, left,
                 facts.c_str());
  }
}

}  // namespace fathom
