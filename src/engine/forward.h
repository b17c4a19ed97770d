// The backbone's arithmetic over packed rows: embedding and one encoder layer. No decision, no batching policy.
// Every output row depends on its own sequence alone, so the grouping chosen here (one worker a group of sequences, or
// one GEMM spread over workers) never shows in a result. Allocates nothing.
#pragma once

#include "engine/state.h"

namespace fathom::engine {

// x of all slots, in the order of the batch: text from state.ids and state.positions, image from the batch's pixels or
// values. Error: corrupt_bundle, a word's row that its file does not give as the bundle was made.
Status embed(Session::State& state, const Batch& batch);

// What a layer's first use finds damaged is in state.fault, and nothing is computed.
// Runs layer `index` (0-based) on `count` sequences of x, in place. `rows` is the sum of their lengths; sequences rise
// in x but need not touch: those that do are worked on where they lie, others are gathered and put back.
void run_layer(Session::State& state, std::size_t index, const std::int32_t* starts, const std::int32_t* lengths,
               std::size_t count, std::size_t rows);

// run_layer, in fp32, showing what the layer's maps read.
void run_layer_watched(Session::State& state, std::size_t index, const std::int32_t* starts,
                       const std::int32_t* lengths, std::size_t count, const Watcher& see);

// Rows a worker takes through a layer at once: few enough that its working set stays in its core's cache, or, with
// tiles, enough to hide the reading of weights.
std::size_t rows_per_chunk(const ModelSpec& spec, Precision precision, const kernels::Table& table);

// GEMM arguments of a linear map on m rows.
kernels::GemmArgs linear_args(const Linear& linear, const float* a, std::size_t lda, std::size_t m, float* c,
                              std::size_t ldc, kernels::Activation activation = kernels::Activation::none);

}  // namespace fathom::engine
