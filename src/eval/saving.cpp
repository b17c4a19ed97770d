#include "eval/saving.h"

#include <algorithm>
#include <functional>

#include "engine/stream.h"
#include "eval/crew.h"
#include "eval/timing.h"

namespace fathom::eval {
namespace {

constexpr int kTurns = 3;
constexpr std::size_t kStream = 1000, kHeld = 64;  // inputs of a stream, and how many of them it holds at once

struct Cost {
  double ms = 0, macs = 0;
};

engine::RunOptions options_of(int system) {
  engine::RunOptions options;
  options.mode = system == 0 ? engine::Mode::full_depth : engine::Mode::adaptive;
  return options;
}

// The shortest of kTurns times of each system, in turn; the first turn also warms up.
Result<Json> in_turn(std::size_t inputs, std::size_t pieces,
                     const std::function<Result<Cost>(std::size_t piece, int system)>& run) {
  Cost sums[2];
  for (std::size_t piece = 0; piece < pieces; ++piece) {
    double best[2] = {};
    for (int turn = 0; turn < kTurns; ++turn)
      for (const int system : {0, 1}) {
        FATHOM_TRY(const Cost cost, run(piece, system));
        best[system] = turn == 0 ? cost.ms : std::min(best[system], cost.ms);
        if (turn == 0) sums[system].macs += cost.macs;
      }
    for (const int system : {0, 1}) sums[system].ms += best[system];
  }
  const double count = static_cast<double>(inputs);
  return Json{{"inputs", inputs},
              {"macs_saved", 1 - sums[1].macs / sums[0].macs},
              {"ms_saved", 1 - sums[1].ms / sums[0].ms},
              {"full_ms", sums[0].ms / count},
              {"adaptive_ms", sums[1].ms / count}};
}

Result<Json> in_batches(const std::shared_ptr<const engine::Plan>& plan, engine::Runtime& runtime,
                        const Encoded& inputs, std::size_t size, double seconds) {
  FATHOM_TRY(auto session, engine::Session::create(plan, runtime, limits_for(inputs, size)));
  const Batches batches(inputs, size);
  std::vector<engine::Prediction> predictions(size);
  const auto run = [&](std::size_t piece, int system) -> Result<Cost> {
    const auto start = std::chrono::steady_clock::now();
    FATHOM_TRY_VOID(session.run(batches[piece], options_of(system), predictions));
    Cost cost{ms_since(start), 0};
    for (std::size_t i = 0; i < batches[piece].count; ++i) cost.macs += predictions[i].macs;
    return cost;
  };
  FATHOM_TRY_VOID(run(0, 0));
  FATHOM_TRY(const Cost probe, run(0, 0));
  const double fit = 1e3 * seconds / (2 * kTurns * std::max(probe.ms, 1e-3));
  const std::size_t pieces = std::clamp<std::size_t>(static_cast<std::size_t>(fit), 1, batches.size());
  return in_turn(std::min(inputs.count, pieces * size), pieces, run);
}

Result<Json> in_stream(const std::shared_ptr<const engine::Plan>& plan, engine::Runtime& runtime, const Encoded& inputs,
                       double seconds, double ms_an_input) {
  const double fit = 1e3 * seconds / (2 * kTurns * std::max(ms_an_input, 1e-6));
  const std::size_t count = std::clamp<std::size_t>(static_cast<std::size_t>(fit), 2 * kHeld, kStream);
  const Batches batches(inputs, 1);
  std::vector<engine::Finished> finished(kHeld);
  const auto run = [&](std::size_t, int system) -> Result<Cost> {
    FATHOM_TRY(auto stream, engine::Stream::create(plan, runtime, limits_for(inputs, kHeld), options_of(system)));
    Cost cost;
    const auto start = std::chrono::steady_clock::now();
    for (std::size_t next = 0; next < count || stream.held() > 0;) {
      while (next < count && stream.room() > 0) FATHOM_TRY_VOID(stream.submit(batches[next++ % batches.size()]));
      const std::size_t done = next < count ? stream.drain(finished) : stream.finish(finished);
      for (std::size_t i = 0; i < done; ++i) {
        if (finished[i].prediction.no_answer > 0)
          return engine::no_answer(finished[i].prediction, "input " + std::to_string(finished[i].ticket));
        cost.macs += finished[i].prediction.macs;
      }
    }
    cost.ms = ms_since(start);
    return cost;
  };
  return in_turn(count, 1, run);
}

}  // namespace

Result<Json> measure_saving(const std::shared_ptr<const engine::Plan>& plan, engine::Runtime& runtime,
                            const Encoded& inputs, double seconds) {
  Json out;
  FATHOM_TRY(out["batch1"], in_batches(plan, runtime, inputs, 1, seconds));
  FATHOM_TRY(out["batch32"], in_batches(plan, runtime, inputs, kCrewBatch, seconds));
  FATHOM_TRY(out["stream"], in_stream(plan, runtime, inputs, seconds, out["batch32"]["full_ms"].get<double>()));
  return out;
}

}  // namespace fathom::eval
