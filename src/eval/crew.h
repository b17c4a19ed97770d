// One split run by every core of a Runtime: each thread has a session of one thread and takes the next batch when it is
// done with one. Faster than cutting every kernel into pieces, and the results are the same: an answer depends neither
// on threads nor on its neighbours. For work that is not timed. Errors: the engine's, with the number of the batch's
// first input. Thread rule: one call at a time on one Runtime.
#pragma once

#include <functional>
#include <memory>

#include "engine/engine.h"
#include "eval/inputs.h"

namespace fathom::eval {

inline constexpr std::size_t kCrewBatch = 32;

using Tick = std::function<void(std::size_t done, std::size_t total)>;  // called from any thread, one at a time

// `on_batch` gets a session, the batch, and the number of its first input; it may write only what is of those inputs.
using OnBatch = std::function<Status(engine::Session& session, const engine::Batch& batch, std::size_t first)>;

Status for_batches(const std::shared_ptr<const engine::Plan>& plan, engine::Runtime& runtime, const Encoded& inputs,
                   const OnBatch& on_batch, const Tick& tick = nullptr);

}  // namespace fathom::eval
