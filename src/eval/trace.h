// What one full-depth pass over a split tells: every exit's logits, label, scores and state norm.
// All exit systems are simulated from it; the engine is run again only to confirm and to time.
#pragma once

#include <memory>

#include "engine/engine.h"
#include "eval/crew.h"
#include "eval/inputs.h"
#include "policy/calibrate.h"

namespace fathom::eval {

struct Traced {
  policy::Trace trace;
  std::vector<float> norms;  // [n][layers]: L2 norm of the pooled state at each exit
  // [n][layers - 1]: the fused score if the trees said 0 or 1. Where lambda lies outside, the engine does not ask them.
  std::vector<float> fused_low, fused_high;
};

// Errors: the engine's, with the number of the batch's first input.
Result<Traced> trace_inputs(const std::shared_ptr<const engine::Plan>& plan, engine::Runtime& runtime,
                            const Encoded& inputs, const Tick& tick = nullptr);

// Fills fused_low and fused_high from the trace's logits and policy scores; nothing where there is no fused score.
void add_fused_bounds(const policy::Policy& policy, Traced& traced);

// Runs `options` over all inputs, on every core of the runtime; `masks` (one per input, Mode::masks) replaces
// options.masks.
Result<std::vector<engine::Prediction>> run_inputs(const std::shared_ptr<const engine::Plan>& plan,
                                                   engine::Runtime& runtime, const Encoded& inputs,
                                                   const engine::RunOptions& options,
                                                   std::span<const std::uint64_t> masks = {},
                                                   const Tick& tick = nullptr);

}  // namespace fathom::eval
