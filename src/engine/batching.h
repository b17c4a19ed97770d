// How a batch goes through the layers: who runs, who has left. Depth-aware: an input that stops leaves at once and the
// rest close up, so later layers run on fewer rows; with given trajectories a layer runs on exactly the inputs that
// contain it. Fills state.out (the caller's predictions) and state.logits. Allocates nothing.
#pragma once

#include "engine/state.h"

namespace fathom::engine {

void run_adaptive(Session::State& state, policy::Score score, float lambda, int max_depth, bool profile);
void run_gates(Session::State& state, bool profile);       // trajectories from the LSTM, before layer 1
void run_masks(Session::State& state);                     // trajectories in state.masks
void run_plain(Session::State& state, int exit);           // layers 1..exit and that head: full depth, fixed exit
void run_trace(Session::State& state);                     // every layer, head and score
void run_layers(Session::State& state, int layers);        // hidden states only
void run_states(Session::State& state, float* states);     // every layer and the last head; pooled states of layers 1..L-1

}  // namespace fathom::engine
