// Times of many systems on the same inputs in one process: rounds are interleaved (every system in turn, each round
// begins with another one), each gives the mean milliseconds per input, the median of rounds is reported.
// Only ratios within one call are meant to be compared. Thread rule: one call at a time.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "eval/crew.h"
#include "eval/inputs.h"

namespace fathom::eval {

struct TimedRun {
  std::string name;
  std::shared_ptr<const engine::Plan> plan;
  const Encoded* inputs = nullptr;  // the sample; the same rows for every run
  engine::RunOptions options;
  std::vector<std::uint64_t> masks;      // Mode::masks: one per input
  double ms_batch1 = 0, ms_batch32 = 0;  // filled in: milliseconds per input
};

struct TimingOptions {
  int rounds = 7;
  double seconds = 40;  // rough budget of all that is timed: fewer inputs for slow models
  std::size_t most_inputs = 512;
  // Set by fit_to_budget:
  std::size_t inputs = 0;         // of the sample, whole batches of 32 where there are as many
  std::size_t batch1_inputs = 0;  // the first so many at batch 1; 0: all
  std::size_t curve_inputs = 0;   // the same, for points of curves
  std::size_t never_exit_inputs = 256;
  bool batch32 = true;
};

// How much is to be timed, in runs at full depth: a run that costs a third of its MACs counts a third.
struct Workload {
  double systems = 0;  // at both batch sizes
  double curves = 0;   // points of curves: batch 1 only, kCurveRounds
};
inline constexpr int kCurveRounds = 3;

// Sample and rounds that keep to the budget, measured on a few inputs at full depth; models too slow for that get the
// least that still means something: 32 inputs at batch 32, 8 to 32 at batch 1, 3 rounds or as many more as there is
// time for.
Result<TimingOptions> fit_to_budget(const std::shared_ptr<const engine::Plan>& plan, engine::Runtime& runtime,
                                    const Encoded& inputs, const Workload& work, const TimingOptions& options);

Status time_runs(std::vector<TimedRun>& runs, engine::Runtime& runtime, const TimingOptions& options,
                 const Tick& tick = nullptr);

// Time of the decision at batch 1: seconds spent deciding and in all, over the sample.
struct DecisionTime {
  double decision = 0, all = 0;
};
Result<DecisionTime> time_decision(const std::shared_ptr<const engine::Plan>& plan, engine::Runtime& runtime,
                                   const Encoded& inputs, float lambda, const TimingOptions& timing);

double median(std::vector<double> values);
inline double ms_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace fathom::eval
