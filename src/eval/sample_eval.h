// Tests only: a trace whose every number is known, and the model it belongs to.
#pragma once

#include "eval/trace.h"
#include "model/spec.h"
#include "policy/exit_costs.h"
#include "policy/policy.h"

namespace fathom::eval::testing {

inline ModelSpec small_spec() {
  ModelSpec spec;
  spec.layers = 4;
  spec.hidden = 32;
  spec.heads = 4;
  spec.ffn = 64;
  spec.vocab = 50;
  spec.max_tokens = 24;
  spec.label_names = {"no", "yes"};
  size_decision(spec);
  return spec;
}

inline policy::Policy confidence_policy(const ModelSpec& spec) {
  policy::Policy policy;
  policy.score = policy::Score::confidence;
  policy.lambda = 0.9f;
  policy.temperature.assign(static_cast<std::size_t>(spec.layers), 1.0f);
  return policy;
}

// Four inputs of 10 tokens over 4 layers and 2 classes; label 1 for all. Stable depths 1, 2, 3, 4; the last is answered
// wrongly by full depth. Confidence passes 0.9 at exits 1, 2, 2 and never: input 2 leaves one exit too early.
inline Traced known_trace() {
  Traced out;
  policy::Trace& t = out.trace;
  t.layers = 4;
  t.classes = 2;
  t.labels = {1, 1, 1, 1};
  t.complexity = {1, 2, 3, 4};
  t.tokens = {10, 10, 10, 10};
  t.predictions = {1, 1, 1, 1, /**/ 0, 1, 1, 1, /**/ 1, 0, 1, 1, /**/ 0, 1, 1, 0};
  for (const std::int32_t p : t.predictions) {
    t.logits.push_back(p == 0 ? 2.0f : -2.0f);
    t.logits.push_back(p == 0 ? -2.0f : 2.0f);
  }
  t.scores[0] = {0.95f, 0.96f, 0.97f, /**/ 0.5f, 0.92f, 0.97f, /**/ 0.6f, 0.91f, 0.99f, /**/ 0.5f, 0.6f, 0.7f};
  t.scores[1] = {0.9f, 0.95f, 0.99f, /**/ 0.1f, 0.9f, 0.99f, /**/ 0.1f, 0.2f, 0.95f, /**/ 0.05f, 0.1f, 0.2f};
  out.norms.assign(16, 4.0f);
  return out;
}

}  // namespace fathom::eval::testing
