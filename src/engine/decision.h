// The decision of docs/formats/bundle.md: exit heads, extractor, trees, LSTM, scores. Only what a score needs runs:
// `confidence` touches heads alone. What runs is added to the ledger of its input at once.
// Everything works on slots (state.h) and is a pure function of each input. Allocates nothing.
#pragma once

#include "engine/state.h"

namespace fathom::engine {

struct Needs {            // parts of the decision that run
  bool heads = false;     // every checkpoint's head
  bool features = false;  // statistics of h1, for the trees
  bool lstm = false;      // h2, initial state, and a step a checkpoint
  bool any_extractor() const { return features || lstm; }
};
Needs needs_of(const policy::Policy& policy, policy::Score score);
Needs needs_of_gates(const policy::Policy& policy);
Needs needs_of_trace(const policy::Policy& policy);

// Whether the bundle holds what the score is computed from.
bool has_parts(const Plan::Parts& parts, policy::Score score);

// [CLS; mean over all tokens] of a slot's current state.
void pool_cls_mean(const Session::State& state, std::size_t slot, float* to);
// Heads of exit `exit` (1-based) for the slots listed: row i of state.head_logits belongs to slots[i].
void run_heads(Session::State& state, int exit, const std::int32_t* slots, std::size_t count);
// Probabilities of a slot's logits at this exit; logits or probabilities that are not finite leave it without an
// answer.
void calibrate_row(Session::State& state, std::size_t slot, int exit, const float* logits, float* p);

// From h^0 in x, before an input's first layer, for all slots: features, LSTM start.
void run_extractor(Session::State& state, const Needs& needs);

// One LSTM step for all slots: row 0.. of state.policy_out. observed: with the slots' signals, else open loop.
void policy_step(Session::State& state, int exit, bool observed);

// S_exit of the input at `place`, as float; its trees are added to the ledger.
float survival_of(Session::State& state, std::size_t place, int exit);

// Checkpoint after layer `exit`, in order from first_exit on: heads, signals and LSTM as needed, for all slots.
void observe(Session::State& state, const Needs& needs, int exit);
float score_of(Session::State& state, policy::Score score, std::size_t slot, int exit);
struct Verdict {
  bool stop = false;
  float score = 0;
};
// score_of(...) >= lambda; of the fused score the trees are left out where they cannot change the answer, and `score`
// is then the middle of what it could be.
Verdict stops(Session::State& state, policy::Score score, std::size_t slot, int exit, float lambda);

}  // namespace fathom::engine
