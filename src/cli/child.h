// Child processes of the verbs: started with an argument list (no shell), their talk passed on line by line, signals
// handed down, killed when this process dies. Errors: io when a program cannot be started.
// Thread rule: main thread only (a child dies with the thread that started it).
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"

namespace fathom::cli {

struct Child {
  std::vector<std::string> command;  // program first, as a path
  std::string prefix;                // put before each line of its stderr; empty: stderr is inherited
  bool drop_output = false;          // stdout and stderr thrown away

  int exit_code = -1;  // filled in: its code, or 128 + signal
};

// Starts all, waits for all. An interrupt (SIGINT, SIGTERM) is passed to each of them once.
// A child's stdout goes to our stderr: the verb decides what is data. If one fails the others are interrupted.
// Returns cancelled if we were interrupted.
Status run_children(std::vector<Child>& children);

// What an ended child means to the verb that started it: its exit code (it has printed its own error), or an Error
// where it could not: it did not start, or a signal ended it.
Result<int> verdict_of(const Child& child);

}  // namespace fathom::cli
