// The MAC ledger: multiply-accumulates of everything executed, the decision included.
// Counting rule: Linear and convolution weights times positions, attention scores and values over the tokens
// really seen (window respected, exact count of pairs), LSTM matrices, one per tree node visited (estimated as
// average path length); element-wise work (norms, activations, softmax) counts nothing, as the field does.
#pragma once

#include "model/spec.h"

namespace fathom {

struct Ledger {
  double embed = 0;        // patch projection; text: that of the word rows, if word_width > 0. Always run
  double layer = 0;        // one encoder layer
  double extractor = 0;    // projection, conv1, conv2 with pooled statistics
  double policy_init = 0;  // LSTM's initial state
  double policy_step = 0;  // one LSTM step with its outputs
  double exit_head = 0;    // one head of exits 1..L-1
  double task_head = 0;    // the last head
};

// For one input of `tokens` tokens (CLS included; images: spec.tokens()).
Ledger ledger_for(const ModelSpec& spec, int tokens);

// Full-depth static model: embed + layers * layer + task_head.
double full_depth_macs(const ModelSpec& spec, int tokens);

}  // namespace fathom
