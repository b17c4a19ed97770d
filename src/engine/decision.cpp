#include "engine/decision.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "engine/forward.h"
#include "kernels/parallel.h"

namespace fathom::engine {
namespace {

using kernels::Activation;
using policy::Score;

void spread_gemm(const Session::State& state, kernels::GemmArgs args) {
  args.scratch = state.gemm_scratch;
  kernels::gemm(*state.table, *state.pool, args);
}

void charge(Session::State& state, std::size_t place, double macs) {
  state.out[place].macs += macs;
  state.out[place].decision_macs += macs;
}

}  // namespace

Needs needs_of(const policy::Policy& policy, Score score) {
  Needs needs;
  needs.heads = score != Score::predictor;
  needs.lstm = score == Score::policy || score == Score::fused;
  needs.features = score == Score::predictor || score == Score::fused || (needs.lstm && policy.policy_reads_level);
  return needs;
}

Needs needs_of_gates(const policy::Policy& policy) { return {false, policy.policy_reads_level, true}; }

Needs needs_of_trace(const policy::Policy& policy) { return {true, policy.predictor.has_value(), true}; }

bool has_parts(const Plan::Parts& parts, Score score) {
  const bool trees = parts.policy.predictor.has_value();
  const bool fusion = parts.policy.fusion.bias.size() + 1 == parts.layers.size();
  if (score == Score::predictor) return trees;
  return score != Score::fused || (trees && fusion);
}

void pool_cls_mean(const Session::State& state, std::size_t slot, float* to) {
  const std::size_t hidden = state.parts->hidden;
  const float* rows = state.x + static_cast<std::size_t>(state.starts[slot]) * hidden;
  std::memcpy(to, rows, hidden * sizeof(float));
  state.table->mean_rows(rows, hidden, static_cast<std::size_t>(state.lengths[slot]), hidden, to + hidden);
}

void run_heads(Session::State& state, int exit, const std::int32_t* slots, std::size_t count) {
  const Plan::Parts& parts = *state.parts;
  (void)state.may_use(parts.head_unit(exit));
  const Head& head = parts.heads[static_cast<std::size_t>(exit - 1)];
  const std::size_t hidden = parts.hidden, read = static_cast<std::size_t>(head.shape.input);
  const bool mean = head.shape.reads == HeadShape::Reads::cls_mean;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t slot = static_cast<std::size_t>(slots[i]);
    float* to = state.pooled + i * read;
    if (mean)
      pool_cls_mean(state, slot, to);
    else
      std::memcpy(to, state.x + static_cast<std::size_t>(state.starts[slot]) * hidden, read * sizeof(float));
  }
  const float* input = state.pooled;
  if (head.norm.gamma != nullptr) {
    const std::size_t width = static_cast<std::size_t>(head.shape.norm);
    state.table->layernorm(state.pooled, width, count * read / width, width, head.norm.gamma, head.norm.beta,
                           parts.spec.layer_norm_eps, state.head_normed, width);
    input = state.head_normed;
  }
  std::size_t width = read;
  if (head.dense.n > 0) {
    const bool tanh = head.shape.activation == HeadActivation::tanh;
    const Activation activation = tanh                                            ? Activation::none
                                  : head.shape.activation == HeadActivation::relu ? Activation::relu
                                                                                  : Activation::gelu;
    spread_gemm(state, linear_args(head.dense, input, width, count, state.head_inner, head.dense.n, activation));
    if (tanh)  // BERT's pooler: once an input, not worth a kernel
      for (std::size_t i = 0; i < count * head.dense.n; ++i) state.head_inner[i] = std::tanh(state.head_inner[i]);
    input = state.head_inner;
    width = head.dense.n;
  }
  spread_gemm(state, linear_args(head.out, input, width, count, state.head_logits, parts.classes));
}

void calibrate_row(Session::State& state, std::size_t slot, int exit, const float* logits, float* p) {
  const Plan::Parts& parts = *state.parts;
  state.table->softmax(logits, parts.classes, parts.heads[static_cast<std::size_t>(exit - 1)].temperature, p);
  float strange = 0;  // NaN if anything is not finite
  for (std::size_t c = 0; c < parts.classes; ++c) strange += 0.0f * logits[c] + 0.0f * p[c];
  Prediction& out = state.out[state.slots[slot]];
  if (strange != 0.0f && out.no_answer == 0) out.no_answer = exit;
}

void policy_step(Session::State& state, int exit, bool observed) {
  const Plan::Parts& parts = *state.parts;
  const PolicyNet& net = parts.net;
  const std::size_t row = kPolicyInputs + net.width, n = state.active;
  const float depth = static_cast<float>(exit) / static_cast<float>(parts.spec.layers);
  for (std::size_t s = 0; s < n; ++s) {
    float* in = state.policy_in + s * row;
    if (observed) {
      const auto values = state.signals[s].values();
      std::copy(values.begin(), values.end(), in);
    } else {
      std::fill(in, in + policy::Signals::kCount, 0.0f);
      in[policy::Signals::kCount - 1] = depth;
    }
    in[policy::Signals::kCount] = observed ? 1.0f : 0.0f;
  }
  spread_gemm(state, linear_args(net.lstm, state.policy_in, row, n, state.gates, 4 * net.width));
  for (std::size_t s = 0; s < n; ++s)
    state.table->lstm_cell(state.gates + s * 4 * net.width, net.width, state.cell + s * net.width,
                           state.policy_in + s * row + kPolicyInputs);
  spread_gemm(state, linear_args(net.out, state.policy_in + kPolicyInputs, row, n, state.policy_out, 2));
  for (std::size_t s = 0; s < n; ++s) {
    charge(state, static_cast<std::size_t>(state.slots[s]),
           state.ledger(static_cast<std::size_t>(state.lengths[s])).policy_step);
  }
}

float survival_of(Session::State& state, std::size_t place, int exit) {
  const policy::Policy& policy = state.parts->policy;
  const std::span<double> features(state.features + place * (state.parts->features + 1), state.parts->features + 1);
  if (policy.predictor_kind == policy::PredictorKind::survival) {
    charge(state, place, policy.predictor->mean_path());
    return static_cast<float>(policy::survival(policy, features, exit));
  }
  // l_pred does not depend on the exit: its trees run once an input.
  double& predicted = state.predicted[place];
  if (std::isnan(predicted)) {
    charge(state, place, policy.predictor->mean_path());
    predicted = policy.predictor->predict(features);
  }
  return static_cast<float>(1.0 / (1.0 + std::exp(-2.0 * (predicted - exit))));
}

void observe(Session::State& state, const Needs& needs, int exit) {
  const Plan::Parts& parts = *state.parts;
  if (!needs.heads) return;
  const std::size_t classes = parts.classes, n = state.active;
  std::swap(state.p, state.previous);
  for (std::size_t s = 0; s < n; ++s) state.picked[s] = static_cast<std::int32_t>(s);
  run_heads(state, exit, state.picked, n);
  const bool first = exit == parts.policy.first_exit;
  for (std::size_t s = 0; s < n; ++s) {
    float* p = state.p + s * classes;
    calibrate_row(state, s, exit, state.head_logits + s * classes, p);
    if (!needs.lstm) continue;
    const std::span<const float> previous(state.previous + s * classes, first ? 0 : classes);
    state.signals[s] = policy::signals_of({p, classes}, previous, exit, parts.spec.layers);
  }
  if (needs.lstm) policy_step(state, exit, true);
}

float score_of(Session::State& state, Score score, std::size_t slot, int exit) {
  const Plan::Parts& parts = *state.parts;
  const std::size_t place = static_cast<std::size_t>(state.slots[slot]);
  const float logit = state.policy_out[2 * slot];
  switch (score) {
    case Score::confidence: {
      const float* p = state.p + slot * parts.classes;
      return *std::max_element(p, p + parts.classes);
    }
    case Score::predictor:
      return 1.0f - survival_of(state, place, exit);
    case Score::policy:
      return policy::sigmoid(logit);
    case Score::fused:
      return policy::fused_score(parts.policy.fusion, state.signals[slot], survival_of(state, place, exit), logit,
                                 exit);
  }
  return 0.0f;
}

Verdict stops(Session::State& state, Score score, std::size_t slot, int exit, float lambda) {
  if (score == Score::fused) {
    // The fused score is monotone in the trees' term, which is clamped: its two ends often settle the matter.
    constexpr float kRounding = 1e-5f;  // far above the rounding of a sigmoid, so the answer is that of score_of
    const policy::Fusion& fusion = state.parts->policy.fusion;
    const float logit = state.policy_out[2 * slot];
    const float a = policy::fused_score(fusion, state.signals[slot], 0.0f, logit, exit);
    const float b = policy::fused_score(fusion, state.signals[slot], 1.0f, logit, exit);
    if (std::max(a, b) < lambda - kRounding) return {false, (a + b) / 2};
    if (std::min(a, b) >= lambda + kRounding) return {true, (a + b) / 2};
  }
  const float value = score_of(state, score, slot, exit);
  return {value >= lambda, value};
}

}  // namespace fathom::engine
