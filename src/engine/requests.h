// What callers ask of a Session or Stream, checked before anything runs: afterwards nothing can fail.
// Errors: invalid_argument naming the input; unsupported where the plan lacks a part. Allocates only to refuse.
#pragma once

#include <string>

#include "engine/state.h"

namespace fathom::engine {

Status check_batch(const Session::State& state,
                   const Batch& batch);  // at most state.max_batch inputs, each one fit to run
Status check_options(const Session::State& state, const RunOptions& options);
Status check_masks(const Session::State& state, const Batch& batch, std::span<const std::uint64_t> masks);

Error refuse(const std::string& message, const std::string& hint);  // invalid_argument
std::string number(std::size_t value);

}  // namespace fathom::engine
