// The hidden verb `peak`: `eval` starts it to read one system's peak memory in a process of its own.
#include "eval/peak.h"
#include "cli/verbs.h"
#include "cli/words.h"

namespace fathom::cli {

void add_peak(Frame& frame) {
  CLI::App* verb = frame.verb("peak", "")->group("")->prefix_command();
  frame.on(verb, [verb]() -> Result<int> { return eval::peak_main(unmarked(verb->remaining())); });
}

}  // namespace fathom::cli
