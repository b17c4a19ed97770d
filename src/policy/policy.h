// Policy: the parameters of one decision (docs/formats/bundle.md): what is computed at a checkpoint and when to stop.
// Pure functions, no I/O after parsing, deterministic; replayable from a trace.
// Parsed from fathom.json "policy" and predictor.txt; LSTM and extractor weights stay in fathom.safetensors.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "model/spec.h"
#include "policy/signals.h"
#include "policy/trees.h"

namespace fathom::policy {

// Which score is compared with lambda at a checkpoint. The four are also systems of `fathom eval`.
enum class Score { confidence, predictor, policy, fused };
Result<Score> parse_score(const std::string& name, const std::string& where);
const char* score_name(Score score);

// What the predictor's trees estimate.
enum class PredictorKind {
  survival,  // binary, features + exit l as last feature: S_l = P(l_opt > l)
  huber,     // regression on l_opt: S_l = sigmoid(2 (l_pred - l))   (the paper's objective)
};

enum class PolicyKind {
  exits,  // closed loop: stop at the first checkpoint whose score >= lambda
  gates,  // open loop: the LSTM emits before layer 1 which layers run (skip probability < 0.5); no early exit
};

struct Fusion {  // z = bias[exit-1] + w . [confidence_logit, margin, entropy, agrees, divergence, logit(1-S_l), policy
                 // logit]
  std::array<float, 7> weights{};
  std::vector<float> bias;  // one per exit 1..L-1
};

struct Policy {
  PolicyKind kind = PolicyKind::exits;
  Score score = Score::fused;      // shipped score; confidence is the fallback
  float lambda = 2.0f;             // stop when score >= lambda; above 1: full depth
  int first_exit = 1;              // no checkpoint before this exit
  std::vector<float> temperature;  // one per exit 1..L
  Fusion fusion;
  PredictorKind predictor_kind = PredictorKind::survival;
  std::optional<Trees> predictor;
  bool policy_reads_level = false;  // gates: last element of the LSTM's initial input is l_pred / L
};

Result<Policy> policy_from_json(const Json& json, const ModelSpec& spec, std::string_view predictor_text,
                                const std::string& where);
Json policy_to_json(const Policy& policy);  // without the trees

// Predictor input: 4 statistics of each h1 channel (mean, max, standard deviation, first position where the channel
// reaches half its maximum, divided by positions), then tokens / max_tokens; `survival` adds the exit as last feature.
int predictor_features(const ModelSpec& spec);  // without the exit: 4 * c1 + 1

// S_l = P(l_opt > exit). `features` has predictor_features() + 1 entries; the last is overwritten.
double survival(const Policy& policy, std::span<double> features, int exit) noexcept;

// l_pred in [1, layers]: huber: the raw prediction, clamped; survival: E[l_opt] = 1 + sum of S_l over l = 1..layers-1.
// `features` as above. The LSTM's level is predicted_depth / layers.
double predicted_depth(const Policy& policy, std::span<double> features, int layers) noexcept;

float fused_score(const Fusion& fusion, const Signals& signals, float survival, float policy_logit,
                  int exit) noexcept;  // in (0,1)

inline float sigmoid(float x);

}  // namespace fathom::policy

#include <cmath>
inline float fathom::policy::sigmoid(float x) { return 1.0f / (1.0f + std::exp(-x)); }
