// `fathom bench`: how fast one bundle runs on this machine, on inputs like those it was fitted on or on random ones.
//   start       milliseconds until a session is ready, packed weights in the page cache
//   latency     one input at a time: mean, median, 90th and 99th percentile, ms
//   throughput  batches of 32: inputs a second, ms an input
//   saving      how much of the multiply-accumulates that depth saves becomes time (saving.h)
//   switching   what it costs that the trajectory differs from that of the input before :
//               each random trajectory is run twice in a row; first run minus second, microseconds
//   peak        memory of a fresh process that answers inputs one by one, MB
//   share_of_hot_gemm  the rate of multiply-accumulates, against that of the same kernels on one matrix held in cache
//   memory      with a memory budget: layers found in memory, read ahead or missed, and what waiting for them took
//   energy      joules an input of the processor's packages, warm-up left out (energy.h); else why not
// Errors: the engine's; io. Thread rule: one call at a time; other work on the machine shows in the figures.
#pragma once

#include <filesystem>

#include "base/json.h"
#include "engine/engine.h"
#include "eval/inputs.h"

namespace fathom::eval {

struct BenchOptions {
  std::filesystem::path bundle, self;  // self: the program that `peak` starts; empty: memory is left out
  engine::RuntimeOptions runtime;
  double seconds = 3;       // of every figure, about
  int trajectories = 1000;  // 0: switching is left out
};

// budget_mb, most_held_mb, hits, read_ahead, misses, evictions, stall_ms.
Json memory_json(const engine::ResidencyReport& report);

Result<Json> bench_bundle(const BenchOptions& options, const Encoded& inputs);

}  // namespace fathom::eval
