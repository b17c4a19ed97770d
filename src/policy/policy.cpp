#include "policy/policy.h"

#include <algorithm>
#include <set>

namespace fathom::policy {
namespace {

constexpr double kMaxWeight = 1e6;  // keeps the fused sum finite

Error bad(const std::string& where, const std::string& what) { return {Code::corrupt_bundle, where + ": " + what, ""}; }

template <class Enum, std::size_t N>
Result<Enum> choice(const Json& json, const char* key, const std::array<const char*, N>& words,
                    const std::string& where) {
  FATHOM_TRY(const std::string got, json_string(json, key, where));
  std::string allowed;
  for (std::size_t i = 0; i < N; ++i) {
    if (got == words[i]) return static_cast<Enum>(i);
    allowed += (i ? ", " : "") + std::string(words[i]);
  }
  return bad(where, "'" + std::string(key) + "' is \"" + got.substr(0, 40) + "\", must be one of " + allowed);
}

constexpr std::array<const char*, 4> kScores = {"confidence", "predictor", "policy", "fused"};
constexpr std::array<const char*, 2> kKinds = {"exits", "gates"};
constexpr std::array<const char*, 2> kPredictors = {"survival", "huber"};

// A list of exactly `count` numbers in [low, high].
Status read_list(const Json& json, const char* key, std::span<float> out, double low, double high,
                 const std::string& where) {
  const auto it = json.find(key);
  if (it == json.end() || !it->is_array()) return bad(where, "'" + std::string(key) + "' is missing or not a list");
  if (it->size() != out.size())
    return bad(where, "'" + std::string(key) + "' has " + std::to_string(it->size()) + " entries, expected " +
                          std::to_string(out.size()));
  for (std::size_t i = 0; i < out.size(); ++i) {
    const Json& item = (*it)[i];
    const double value = item.is_number() ? item.get<double>() : std::nan("");
    if (!(value >= low && value <= high))
      return bad(where, "'" + std::string(key) + "': entry " + std::to_string(i) + " is no number or out of range");
    out[i] = static_cast<float>(value);
  }
  return {};
}

Status known_keys(const Json& json, const std::set<std::string>& known, const std::string& where) {
  if (!json.is_object()) return bad(where, "must be an object");
  for (const auto& [key, value] : json.items())
    if (!known.contains(key)) return bad(where, "unknown key '" + key.substr(0, 80) + "'");
  return {};
}

Status read_fusion(const Json& json, int layers, Fusion& fusion, const std::string& where) {
  const auto it = json.find("fusion");
  if (it == json.end()) return bad(where, "'fusion' is missing");
  const std::string at = where + " 'fusion'";
  FATHOM_TRY_VOID(known_keys(*it, {"weights", "bias"}, at));
  FATHOM_TRY_VOID(read_list(*it, "weights", fusion.weights, -kMaxWeight, kMaxWeight, at));
  fusion.bias.resize(static_cast<std::size_t>(layers - 1));
  return read_list(*it, "bias", fusion.bias, -kMaxWeight, kMaxWeight, at);
}

// The trees must answer the question the policy asks, from the features it gives.
Status check_predictor(const Policy& policy, const ModelSpec& spec, const std::string& where) {
  const bool needed = policy.kind == PolicyKind::gates ? policy.policy_reads_level
                                                       : policy.score == Score::predictor ||
                                                             policy.score == Score::fused || policy.policy_reads_level;
  if (!policy.predictor) return needed ? Status(bad(where, "needs predictor.txt, which is empty or absent")) : Status();
  const bool survival = policy.predictor_kind == PredictorKind::survival;
  const int expected = predictor_features(spec) + (survival ? 1 : 0);
  if (policy.predictor->feature_count() != expected)
    return bad(where, "predictor.txt reads " + std::to_string(policy.predictor->feature_count()) +
                          " features, this model gives " + std::to_string(expected));
  if (policy.predictor->is_probability() != survival)
    return bad(where, std::string("predictor.txt must have objective ") + (survival ? "binary" : "huber") + " for a '" +
                          (survival ? "survival" : "huber") + "' predictor");
  return {};
}

}  // namespace

const char* score_name(Score score) { return kScores[static_cast<std::size_t>(score)]; }

Result<Score> parse_score(const std::string& name, const std::string& where) {
  return choice<Score>(Json{{"score", name}}, "score", kScores, where);
}

Result<Policy> policy_from_json(const Json& json, const ModelSpec& spec, std::string_view predictor_text,
                                const std::string& where) {
  FATHOM_TRY_VOID(known_keys(
      json, {"kind", "score", "lambda", "first_exit", "temperature", "fusion", "predictor", "policy_reads_level"},
      where));
  Policy policy;
  FATHOM_TRY(policy.kind, choice<PolicyKind>(json, "kind", kKinds, where));
  FATHOM_TRY(policy.score, choice<Score>(json, "score", kScores, where));
  FATHOM_TRY(const double lambda, json_number(json, "lambda", 0.0, 2.0, where));
  policy.lambda = static_cast<float>(lambda);
  FATHOM_TRY(const std::int64_t first_exit, json_int(json, "first_exit", 1, spec.layers, where));
  policy.first_exit = static_cast<int>(first_exit);
  policy.temperature.resize(static_cast<std::size_t>(spec.layers));
  FATHOM_TRY_VOID(read_list(json, "temperature", policy.temperature, 1e-3, 1e3, where));
  FATHOM_TRY_VOID(read_fusion(json, spec.layers, policy.fusion, where));
  FATHOM_TRY(policy.predictor_kind, choice<PredictorKind>(json, "predictor", kPredictors, where));
  FATHOM_TRY(policy.policy_reads_level, json_bool(json, "policy_reads_level", where));
  if (!predictor_text.empty()) {
    FATHOM_TRY(policy.predictor, Trees::parse(predictor_text, where + ": predictor.txt"));
  }
  FATHOM_TRY_VOID(check_predictor(policy, spec, where));
  return policy;
}

Json policy_to_json(const Policy& policy) {
  const auto list = [](std::span<const float> values) {
    Json items = Json::array();
    for (const float value : values) items.push_back(short_decimal(value));
    return items;
  };
  Json json;
  json["kind"] = kKinds[static_cast<std::size_t>(policy.kind)];
  json["score"] = score_name(policy.score);
  json["lambda"] = short_decimal(policy.lambda);
  json["first_exit"] = policy.first_exit;
  json["temperature"] = list(policy.temperature);
  json["fusion"] = {{"weights", list(policy.fusion.weights)}, {"bias", list(policy.fusion.bias)}};
  json["predictor"] = kPredictors[static_cast<std::size_t>(policy.predictor_kind)];
  json["policy_reads_level"] = policy.policy_reads_level;
  return json;
}

int predictor_features(const ModelSpec& spec) { return 4 * spec.extractor.c1 + 1; }

double survival(const Policy& policy, std::span<double> features, int exit) noexcept {
  FATHOM_DCHECK(policy.predictor.has_value(), "no predictor");
  if (policy.predictor_kind == PredictorKind::survival) {
    features.back() = exit;
    return policy.predictor->predict(features);
  }
  return 1.0 / (1.0 + std::exp(-2.0 * (policy.predictor->predict(features) - exit)));
}

double predicted_depth(const Policy& policy, std::span<double> features, int layers) noexcept {
  FATHOM_DCHECK(policy.predictor.has_value(), "no predictor");
  if (policy.predictor_kind == PredictorKind::huber)
    return std::clamp(policy.predictor->predict(features), 1.0, static_cast<double>(layers));
  double depth = 1.0;
  for (int exit = 1; exit < layers; ++exit) depth += survival(policy, features, exit);
  return depth;
}

float fused_score(const Fusion& fusion, const Signals& signals, float survival, float policy_logit, int exit) noexcept {
  const float s = std::clamp(survival, 1e-6f, 1.0f - 1e-6f);
  const float predictor = std::clamp(std::log((1.0f - s) / s), -6.0f, 6.0f);
  const std::array<float, 7> evidence = {signals.confidence_logit, signals.margin, signals.entropy, signals.agrees,
                                         signals.divergence,       predictor,      policy_logit};
  float z = fusion.bias[static_cast<std::size_t>(exit - 1)];
  for (std::size_t i = 0; i < evidence.size(); ++i) z += fusion.weights[i] * evidence[i];
  return sigmoid(z);
}

}  // namespace fathom::policy
