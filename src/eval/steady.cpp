#include "eval/steady.h"

namespace fathom::eval {

Result<Steady> run_steadily(std::size_t batches, double seconds,
                            const std::function<Result<SteadyRun>(std::size_t batch)>& run, EnergyMeter* energy) {
  constexpr std::size_t kLeast = 8;
  constexpr double kSampleMs = 2000;  // counters of 32 bits come round in minutes
  Steady out;
  double spent = 0, sampled = 0;
  bool warm = false;
  for (std::size_t i = 0; spent < 1e3 * seconds || out.ms.size() < kLeast; ++i) {
    if (!warm && (spent >= 100 * seconds || i >= batches)) {
      warm = true;
      if (energy != nullptr) energy->start();
    }
    FATHOM_TRY(const SteadyRun one, run(i % batches));
    spent += one.ms;
    if (!warm) continue;
    out.ms.push_back(one.ms);
    out.all_ms += one.ms;
    out.inputs += one.inputs;
    out.macs += one.macs;
    out.depth += one.depth;
    if (energy != nullptr && spent - sampled > kSampleMs) {
      energy->sample();
      sampled = spent;
    }
  }
  if (energy != nullptr) out.joules = energy->joules();
  return out;
}

}  // namespace fathom::eval
