// One score out of many: temperatures, the logistic fusion of the evidence at a checkpoint, and the comparison of
// scores by what they save at a budget of disagreement with full depth, decision costs included.
// Pure functions of their arguments; deterministic.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/json.h"
#include "model/spec.h"
#include "policy/policy.h"
#include "train/torch.h"

namespace fathom::train {

// One temperature per exit, by negative log likelihood: logits [n, layers, classes], labels [n] int64.
std::vector<float> fit_temperatures(const torch::Tensor& logits, const torch::Tensor& labels);

// What the checkpoints of all rows see: probabilities at the temperatures and the signals, by the engine's own
// function.
torch::Tensor all_signals(const torch::Tensor& logits,
                          const std::vector<float>& temperature);  // [n, layers - 1, 6] float

// The seven inputs of policy::Fusion per checkpoint, [n, layers - 1, 7] double.
torch::Tensor fusion_inputs(const torch::Tensor& signals, const torch::Tensor& survival,
                            const torch::Tensor& stop_logits);

// Logistic regression with a bias per exit: inputs [n, exits, 7] double, target [n, exits] (0 or 1). Newton, ridge
// `ridge` on the weights and, so that an exit with one class stays finite, on the biases.
policy::Fusion fit_fusion(const torch::Tensor& inputs, const torch::Tensor& target, double ridge = 1.0);
torch::Tensor fused_logits(const policy::Fusion& fusion, const torch::Tensor& inputs);  // [n, exits] double

// A trace of the rows, with the predictions of all exits.
struct Evidence {
  int layers = 0;
  torch::Tensor predictions;  // [n, layers] int64
  torch::Tensor full_macs;    // [n] double, static full depth
  // MACs of stopping at exit e = 1..layers with this score: [n, layers] double, decision included.
  torch::Tensor macs[4];
};
Evidence evidence_of(const ModelSpec& spec, const policy::Policy& policy, const torch::Tensor& logits,
                     const torch::Tensor& lengths);

struct Point {
  double lambda = 2, disagreement = 0, saved = 0, mean_exit = 0;
};
// The most aggressive threshold with at most `budget` disagreement at it and at every more cautious one.
Point point_at_budget(const Evidence& evidence, const torch::Tensor& scores, policy::Score score, double budget);

Json point_to_json(const Point& point);

}  // namespace fathom::train
