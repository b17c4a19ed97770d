// How inputs go through the layers: who runs, who has left. Depth-aware: an input that stops leaves at once, so later
// layers run on fewer rows, and a layer runs on exactly the inputs whose trajectory has it. Session and Stream share
// the steps below; a Session takes its batch through them (run_course), a Stream takes whoever waits before a layer.
// Fills state.out and state.logits by place. Allocates nothing.
#pragma once

#include "engine/decision.h"

namespace fathom::engine {

enum class Way {
  straight,  // layers 1..exit, nothing decided
  masks,     // the trajectories the caller put into state.masks
  gates,     // trajectories from the LSTM, before layer 1
  adaptive,  // layers 1..exit, each input asked after layers first_exit..exit - 1
  trace,     // every layer, head and score
};

// A checked request, settled against its plan.
struct Course {
  Way way = Way::straight;
  int exit = 0;  // whose head answers for inputs that were not stopped
  int first_exit = 0;
  Needs needs;
  policy::Score score = policy::Score::confidence;
  float lambda = 0;
  bool profile = false;
  std::span<const float> replay = {};  // scores [places, layers - 1] in place of the computed ones
  bool decides_after(int layer) const { return way == Way::adaptive && layer >= first_exit && layer < exit; }
};
Course course_of(const Plan::Parts& parts, const RunOptions& options);

// From h^0 in x: what the decision needs of it, and the trajectories in state.masks (Way::masks: they are there
// already).
void start(Session::State& state, const Course& course);
// After `layer` ran on all slots: how many stop. They are listed in state.picked (rising), their predictions written.
std::size_t checkpoint(Session::State& state, const Course& course, int layer);
// Head of `exit` and predictions of the first `count` slots in state.picked; overwrites state.p.
void finish_picked(Session::State& state, int exit, std::size_t count);

void run_course(Session::State& state, const Course& course);  // all of it, on all slots
// With a memory budget. Once, before the first layer of a session; then before each layer of an adaptive course.
void seed_residency(Session::State& state, const Course& course);
void look_ahead(Session::State& state, const Course& course, int layer);
void run_layers(Session::State& state, int layers);     // hidden states only
void run_states(Session::State& state, float* states);  // every layer and the last head; pooled states of layers 1..L-1

}  // namespace fathom::engine
