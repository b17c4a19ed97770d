// `fathom-train`: what `fathom fit` runs. Talk goes to stderr; the exit code is the hundreds digit of the error's code.
#include <unistd.h>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include <csignal>
#include <cstdio>
#include <exception>

#include "base/log.h"
#include "base/quote.h"
#include "train/fit.h"
#include "train/trunk.h"

namespace {

void on_interrupt(int) {
  if (fathom::train::stop_polled != 0) {
    fathom::train::stop_requested = 1;
    return;
  }
  constexpr char kText[] = "stopped; finished stages are kept: the same command goes on from here\n";
  [[maybe_unused]] const auto written = write(STDERR_FILENO, kText, sizeof kText - 1);
  _exit(130);
}

int report(const fathom::Error& error) {
  std::fprintf(stderr, "error FTH-%d: %s\n", static_cast<int>(error.code),
               fathom::printable_message(error.message).c_str());
  if (!error.hint.empty()) std::fprintf(stderr, "  next: %s\n", fathom::printable_message(error.hint).c_str());
  return error.code == fathom::Code::cancelled ? 130 : static_cast<int>(error.code) / 100;
}

// Activations of long texts are tens of megabytes a tensor; given back to the system and asked for again at every
// layer, their pages would be cleared each time.
void keep_freed_memory() {
#if defined(__GLIBC__)
  mallopt(M_MMAP_THRESHOLD, 32 << 20);  // the most glibc takes
  mallopt(M_TRIM_THRESHOLD, 2000 << 20);
#endif
}

int act(int argc, char** argv) {
  const auto command = fathom::train::parse_command_line(argc, argv);
  if (!command) return report(command.error());
  if (command->help) {
    std::fputs(command->help_text.c_str(), stdout);
    return 0;
  }
  std::signal(SIGINT, on_interrupt);
  std::signal(SIGTERM, on_interrupt);
  const auto done = fathom::train::fit(command->options);
  return done ? 0 : report(done.error());
}

}  // namespace

int main(int argc, char** argv) {
  keep_freed_memory();
  try {
    return act(argc, argv);
  } catch (const std::bad_alloc&) {
    return report(
        {fathom::Code::out_of_memory, "not enough memory", "use a smaller --batch-size, --hidden or --max-train"});
  } catch (const std::exception& error) {
    return report({fathom::Code::internal, error.what(), "this is a bug: report it with the command"});
  }
}
