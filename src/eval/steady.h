// One job repeated for a while, measured after a warm-up: whatever is reported of it, times, inputs, MACs or joules, is
// of the same runs. Thread rule: one call at a time. Errors: the job's.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "base/result.h"
#include "eval/energy.h"

namespace fathom::eval {

struct SteadyRun {  // what one run did
  double ms = 0, macs = 0, depth = 0;
  std::size_t inputs = 0;
};

struct Steady {  // the sum of those that counted
  std::vector<double> ms;
  double all_ms = 0, macs = 0, depth = 0;
  std::size_t inputs = 0;
  std::optional<double> joules;
};

// run(0), run(1), ... of `batches` in turn for about `seconds`, at least 8 of them counted. The warm-up is the first
// tenth of the time, or every batch once. `energy`: measured from the first run that counts, if not null.
Result<Steady> run_steadily(std::size_t batches, double seconds,
                            const std::function<Result<SteadyRun>(std::size_t batch)>& run, EnergyMeter* energy);

}  // namespace fathom::eval
