#include "engine/random_bundle.h"

#include <cmath>
#include <deque>
#include <map>
#include <vector>

#include "base/random.h"
#include "bundle/bundle.h"
#include "model/names.h"

namespace fathom::engine {
namespace {

bool ends_with(const std::string& text, const char* end) { return text.ends_with(end); }

// Norm gains near 1, biases small, embeddings of unit size, maps scaled so that activations keep their size.
float draw(Random& random, const TensorSpec& tensor) {
  const bool norm = tensor.name.find("orm") != std::string::npos;  // LayerNorm, layernorm_before, exits.e.norm
  const double z = random.normal();
  if (norm && ends_with(tensor.name, ".weight")) return static_cast<float>(1.0 + 0.1 * z);
  if (ends_with(tensor.name, "bias")) return static_cast<float>(0.1 * z);
  if (tensor.name.starts_with("embeddings.") && tensor.shape.size() < 4) return static_cast<float>(0.5 * z);
  double fan_in = 1;
  for (std::size_t i = 1; i < tensor.shape.size(); ++i) fan_in *= static_cast<double>(tensor.shape[i]);
  return static_cast<float>(z / std::sqrt(fan_in));
}

std::string random_tensors(const std::vector<TensorSpec>& specs, std::uint64_t seed) {
  std::deque<std::vector<float>> values;
  std::vector<NamedTensor> named;
  for (const TensorSpec& spec : specs) {
    std::int64_t count = 1;
    for (const std::int64_t side : spec.shape) count *= side;
    Random random(seed, spec.name);
    std::vector<float>& data = values.emplace_back(static_cast<std::size_t>(count));
    for (float& value : data) value = draw(random, spec);
    named.push_back({spec.name, {data.data(), spec.shape}});
  }
  return safetensors_bytes(named);
}

template <class T>
std::string line(const char* key, const std::vector<T>& values) {
  std::string text = std::string(key) + "=";
  for (std::size_t i = 0; i < values.size(); ++i) text += (i == 0 ? "" : " ") + std::to_string(values[i]);
  return text + "\n";
}

// A full tree of three levels: splits 0..6 breadth first, leaves 0..7 from left to right.
std::string random_tree(Random& random, int features, bool survival, int index, double mean) {
  std::vector<int> feature(7);
  std::vector<double> threshold(7), leaf(8);
  for (std::size_t i = 0; i < 7; ++i) {
    const bool exit = survival && i % 2 == 0;  // the exit matters: S_l must fall with l
    feature[i] = exit ? features - 1 : static_cast<int>(random.below(static_cast<std::uint64_t>(features)));
    threshold[i] = exit ? 1.5 + static_cast<double>(random.below(6)) : 0.5 * random.uniform();
  }
  for (double& value : leaf) value = mean + 0.4 * random.normal();
  const std::vector<int> left = {1, 3, 5, -1, -3, -5, -7}, right = {2, 4, 6, -2, -4, -6, -8};
  return "\nTree=" + std::to_string(index) + "\nnum_leaves=8\nnum_cat=0\n" + line("split_feature", feature) +
         line("split_gain", std::vector<int>(7, 1)) + line("threshold", threshold) +
         line("decision_type", std::vector<int>(7, 2)) + line("left_child", left) + line("right_child", right) +
         line("leaf_value", leaf) + line("leaf_weight", std::vector<int>(8, 10)) +
         line("leaf_count", std::vector<int>(8, 10)) + line("internal_value", std::vector<int>(7, 0)) +
         line("internal_weight", std::vector<int>(7, 0)) + line("internal_count", std::vector<int>(7, 20)) +
         "is_linear=0\nshrinkage=0.1\n\n";
}

}  // namespace

ModelSpec small_spec(Modality modality) {
  ModelSpec spec;
  spec.modality = modality;
  spec.layers = 6;
  spec.hidden = 32;
  spec.heads = 4;
  spec.ffn = 64;
  spec.norm = NormOrder::pre;
  spec.pooling = Pooling::cls;
  spec.vocab = 60;
  spec.max_tokens = 12;
  spec.token_types = 0;
  spec.image_height = spec.image_width = 16;
  spec.patch = 8;
  spec.label_names = {"calm", "loud", "wild"};
  size_decision(spec);
  return spec;
}

policy::Policy random_policy(const ModelSpec& spec, std::uint64_t seed, policy::PredictorKind kind) {
  Random random(seed, "policy");
  policy::Policy policy;
  policy.predictor_kind = kind;
  policy.lambda = 0.6f;
  for (int e = 1; e <= spec.layers; ++e) policy.temperature.push_back(static_cast<float>(1.0 + 0.3 * random.uniform()));
  for (float& weight : policy.fusion.weights) weight = static_cast<float>(0.4 * random.normal());
  for (int e = 1; e < spec.layers; ++e) policy.fusion.bias.push_back(static_cast<float>(0.3 * random.normal()));
  return policy;
}

std::string random_predictor(const ModelSpec& spec, policy::PredictorKind kind, std::uint64_t seed, int trees) {
  Random random(seed, "predictor");
  const bool survival = kind == policy::PredictorKind::survival;
  const int features = policy::predictor_features(spec) + (survival ? 1 : 0);
  const double middle = 0.5 * (spec.layers + 1);  // huber predicts a depth
  std::string names, body;
  for (int i = 0; i < features; ++i) names += " f" + std::to_string(i);
  for (int i = 0; i < trees; ++i) body += random_tree(random, features, survival, i, survival ? 0.0 : middle / trees);
  return "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=" +
         std::to_string(features - 1) + "\nobjective=" + (survival ? "binary sigmoid:1" : "huber") +
         "\nfeature_names=" + names.substr(1) + "\n" + body + "\nend of trees\n";
}

Result<std::filesystem::path> write_random_bundle(const std::filesystem::path& folder, const ModelSpec& spec,
                                                  std::uint64_t seed, const policy::Policy& policy,
                                                  int predictor_trees) {
  std::map<std::string, std::string> files;
  files["config.json"] = spec_to_json(spec).dump(1);
  files["model.safetensors"] = random_tensors(backbone_tensors(spec), seed);
  files["fathom.safetensors"] = random_tensors(decision_tensors(spec), seed);
  if (predictor_trees > 0)
    files["predictor.txt"] = random_predictor(spec, policy.predictor_kind, seed, predictor_trees);
  Json fathom;
  fathom["format"] = 1;
  fathom["policy"] = policy_to_json(policy);
  FATHOM_TRY_VOID(write_bundle(folder, files, fathom));
  return folder;
}

}  // namespace fathom::engine
