// How much of the multiply-accumulates that depth saves becomes time: full depth and the bundle's own policy on the
// same inputs, in turn, one by one, in batches of 32 of mixed depths, and as a stream of inputs (engine::Stream). Every
// piece is run three times and its shortest time counts: what else the machine does only adds. Errors: the engine's.
// Thread rule: one call at a time.
#pragma once

#include <memory>

#include "base/json.h"
#include "engine/engine.h"
#include "eval/inputs.h"

namespace fathom::eval {

// {"batch1", "batch32", "stream": {inputs, macs_saved, ms_saved (shares of full depth), full_ms, adaptive_ms (an
// input)}}. seconds: about how long each of the three takes; it bounds how many inputs are run.
Result<Json> measure_saving(const std::shared_ptr<const engine::Plan>& plan, engine::Runtime& runtime,
                            const Encoded& inputs, double seconds);

}  // namespace fathom::eval
