// The decision stage: from the states and logits of a frozen model's tune rows to everything a bundle's decision needs.
// Extractor, predictor, LSTM (cloned, then PPO if it helps) and fusion, cross-fitted: what the fusion learns from is
// predicted for rows that extractor, predictor and LSTM of that fold did not see. The fused score ships only if it
// saves more than calibrated confidence at the budget of disagreement, PPO only if it does than the clone: by the lower
// end of a paired bootstrap (policy/paired_saving.h); the figures are recorded.
// Errors: bad_input (too few rows, shapes that do not fit the spec), internal (LightGBM). Deterministic per options.
// Source: paper 3.1, 3.2.
#pragma once

#include <map>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "model/spec.h"
#include "policy/policy.h"
#include "train/torch.h"

namespace fathom::train {

struct DecisionInput {
  const ModelSpec& spec;
  torch::Tensor h0;       // [n, T, hidden] layer-0 states, T padded
  torch::Tensor lengths;  // [n] int64, tokens of each row
  torch::Tensor logits;   // [n, layers, classes] of all exits
  torch::Tensor labels;   // [n] int64
};

struct DecisionOptions {
  std::uint64_t seed = 1;
  int folds = 3;
  double budget = 0.005;  // disagreement with full depth allowed where scores are compared
  int extractor_epochs = 10, clone_epochs = 20, ppo_rounds = 8;
  int least_steps = 400;  // few rows: more epochs, until a module has taken so many gradient steps (at most 60 epochs)
  policy::PredictorKind predictor = policy::PredictorKind::survival;
};

inline std::int64_t least_tune_rows(const DecisionOptions& options) { return 64 * options.folds; }

struct DecisionResult {
  std::map<std::string, torch::Tensor> tensors;  // extractor.* and policy.* of model/names.h
  std::string predictor_text;                    // LightGBM's text model
  policy::Policy policy;                         // trees parsed, lambda at full depth: calibration comes later
  Json facts;  // depth, temperatures, extractor, predictor (quality, search), policy (clone, ppo), scores, shipped,
               // seconds
};

Result<DecisionResult> train_decision(const DecisionInput& tune, const DecisionOptions& options);

// Predictions of all exits to stable depth, [n] int64 (policy/calibrate.h).
torch::Tensor stable_depths(const torch::Tensor& logits);

}  // namespace fathom::train
