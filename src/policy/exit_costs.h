// MACs of one input that stops at a given exit, for each system: the model ledger put together by the rules of
// "The decision, exactly" in docs/formats/bundle.md. The one cost model: the engine counts the same
// while it runs (src/engine/exit_costs_test.cpp), eval's tables and training's choice of a score are made of it.
// Thread rule: one thread at a time (a small cache by token count).
#pragma once

#include <map>

#include "model/ledger.h"
#include "policy/policy.h"

namespace fathom::policy {

struct Cost {
  double macs = 0;      // everything executed, the decision included
  double decision = 0;  // of these: extractor, trees, LSTM, heads of exits not taken
};

class ExitCosts {
 public:
  ExitCosts(const ModelSpec& spec, const Policy& policy) : spec_(spec), policy_(policy) {}
  // A system that compares `score` at every checkpoint and stops at `exit` (1..layers). `tree_passes`: checkpoints at
  // which the fused score really asks the trees (the engine leaves them out where they cannot change the answer);
  // negative: at every checkpoint.
  Cost adaptive(Score score, int tokens, int exit, int tree_passes = -1);
  // Nothing is decided above lambda 1 or without a checkpoint: the engine then runs the static model.
  bool decides(float lambda) const { return lambda <= 1.0f && policy_.first_exit < spec_.layers; }
  Cost fixed(int tokens, int exit);         // layers 1..exit and that exit's head; exit == layers: the static model
  Cost layers_run(int tokens, int layers);  // any `layers` layers and the last head
  Cost full(int tokens) { return fixed(tokens, spec_.layers); }
  int layers() const { return spec_.layers; }
  const Policy& policy() const { return policy_; }

 private:
  const Ledger& ledger(int tokens);
  double second_convolution(int tokens) const;
  double head(const Ledger& ledger, int exit) const {
    return exit == spec_.layers ? ledger.task_head : ledger.exit_head;
  }
  const ModelSpec& spec_;
  const Policy& policy_;
  std::map<int, Ledger> ledgers_;
};

}  // namespace fathom::policy
