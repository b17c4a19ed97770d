// Tests only: small models of every kind, random inputs for them, and a loaded plan with its runtime.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "bundle/bundle.h"
#include "engine/engine.h"
#include "engine/random_bundle.h"

namespace fathom::engine::testing {

struct Case {
  std::string name;
  ModelSpec spec;
  policy::Policy policy;
  Precision precision = Precision::fp32;
};

inline ModelSpec text_spec(NormOrder norm, int layers, int hidden, int heads, int ffn) {
  ModelSpec spec;
  spec.layers = layers;
  spec.hidden = hidden;
  spec.heads = heads;
  spec.ffn = ffn;
  spec.norm = norm;
  spec.vocab = 50;
  spec.max_tokens = 24;
  spec.label_names = {"a", "b", "c"};
  size_decision(spec);
  return spec;
}

// text_post: full attention, cls_mean, MLP heads. text_window: pre-LN, window 1, cls, linear heads, no token
// types, an id whose position is not counted, first exit 2. image: pre-LN, 5 x 3 patches, huber trees read by the LSTM.
// narrow: heads pruned. folded, joint: maps of two factors. text_linear: linear attention. wide: large enough to use
// several threads.
inline std::vector<Case> all_cases() {
  std::vector<Case> cases;
  ModelSpec post = text_spec(NormOrder::post, 4, 32, 4, 64);
  post.exit_head_hidden = 16;
  post.task_head_hidden = 24;
  cases.push_back({"text_post", post, random_policy(post, 1)});

  ModelSpec window = text_spec(NormOrder::pre, 6, 24, 3, 40);
  window.attention_window = 1;
  window.pooling = Pooling::cls;
  window.token_types = 0;
  window.padding_id = 7;
  window.exit_head_hidden = 0;
  window.layer_norm_eps = 1e-5f;
  cases.push_back({"text_window", window, random_policy(window, 2)});
  cases.back().policy.first_exit = 2;

  ModelSpec image = text_spec(NormOrder::pre, 4, 32, 2, 48);
  image.modality = Modality::image;
  image.image_height = 20;
  image.image_width = 12;
  image.patch = 4;
  image.exit_head_hidden = 8;
  cases.push_back({"image", image, random_policy(image, 3, policy::PredictorKind::huber)});
  cases.back().policy.policy_reads_level = true;

  ModelSpec narrow = text_spec(NormOrder::post, 3, 40, 3, 24);  // of 5 heads of 8
  narrow.head_size = 8;
  cases.push_back({"narrow", narrow, random_policy(narrow, 5)});

  ModelSpec folded = text_spec(NormOrder::post, 3, 40, 4, 56);  // two maps in two factors
  folded.ranks = {24, 0, 17, 0, false};
  cases.push_back({"folded", folded, random_policy(folded, 6)});

  ModelSpec joint = text_spec(NormOrder::pre, 3, 32, 2,
                              48);  // all of them, with factors that the layers share, behind narrow word rows
  joint.ranks = {20, 16, 24, 12, true};
  joint.word_width = 16;
  cases.push_back({"joint", joint, random_policy(joint, 7)});

  ModelSpec linear = text_spec(NormOrder::pre, 4, 48, 4, 64);
  linear.attention = Attention::linear;
  linear.max_tokens = 80;  // two blocks of keys
  linear.exit_head_hidden = 16;
  cases.push_back({"text_linear", linear, random_policy(linear, 8)});

  ModelSpec broad =
      text_spec(NormOrder::post, 2, 128, 4, 128);  // heads in whole panels: threads share them out behind their map
  broad.max_tokens = 48;
  broad.exit_head_hidden = 16;
  cases.push_back({"broad", broad, random_policy(broad, 9)});

  ModelSpec wide = text_spec(NormOrder::pre, 3, 64, 4, 256);
  wide.max_tokens = 48;
  wide.exit_head_hidden = 32;
  cases.push_back({"wide", wide, random_policy(wide, 4)});
  return cases;
}

inline std::filesystem::path folder_for(const std::string& name) {
  return std::filesystem::temp_directory_path() / ("fathom_engine_" + std::to_string(::getpid())) / name;
}

// Inputs of one batch, ready to be handed over whole or one by one.
struct Inputs {
  std::vector<std::vector<std::int32_t>> texts, kinds;  // ids and token types of each text
  std::vector<std::int32_t> ids, offsets{0}, types;
  std::vector<std::uint8_t> pixels;
  std::size_t count = 0, picture_bytes = 0;

  Batch batch() const { return {count, ids, offsets, pixels.empty() ? nullptr : pixels.data(), types}; }
  Batch one(std::size_t i, std::vector<std::int32_t>& ends) const {
    if (!pixels.empty()) return {1, {}, {}, pixels.data() + i * picture_bytes, {}};
    ends = {0, offsets[i + 1] - offsets[i]};
    return {1, texts[i], ends, nullptr, kinds[i]};
  }
};

inline Inputs random_inputs(const ModelSpec& spec, std::size_t count, std::uint64_t seed) {
  Random random(seed, "inputs");
  Inputs inputs;
  inputs.count = count;
  if (spec.modality == Modality::image) {
    inputs.picture_bytes = static_cast<std::size_t>(3 * spec.image_height * spec.image_width);
    inputs.pixels.resize(count * inputs.picture_bytes);
    for (std::uint8_t& byte : inputs.pixels) byte = static_cast<std::uint8_t>(random.below(256));
    return inputs;
  }
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t longest = static_cast<std::uint64_t>(spec.max_tokens);
    const std::uint64_t tokens = i == 0 ? 1 : i == 1 ? longest : 1 + random.below(longest);
    auto& ids = inputs.texts.emplace_back();
    for (std::uint64_t t = 0; t < tokens; ++t)
      ids.push_back(static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(spec.vocab))));
    auto& kinds = inputs.kinds.emplace_back();  // from a third of an odd text on, the last type
    for (std::uint64_t t = 0; t < tokens; ++t)
      kinds.push_back(i % 2 == 1 && 3 * t >= tokens ? std::max(spec.token_types, 1) - 1 : 0);
    inputs.types.insert(inputs.types.end(), kinds.begin(), kinds.end());
    inputs.ids.insert(inputs.ids.end(), ids.begin(), ids.end());
    inputs.offsets.push_back(static_cast<std::int32_t>(inputs.ids.size()));
  }
  return inputs;
}

template <class T>
T must(Result<T> result) {
  if (!result) {
    ADD_FAILURE() << result.error().message;
    std::abort();
  }
  return std::move(result).value();
}

inline void must(Status status) {
  if (!status) ADD_FAILURE() << status.error().message;
}

inline std::shared_ptr<const Model> load_model(const std::filesystem::path& folder) {
  return must(Model::load(must(Bundle::open(folder))));
}

// A bundle on disk (written once a process), its plan for `tier`, and a session.
struct Loaded {
  Loaded(const Case& which, const std::string& tier, int threads, std::size_t max_batch = 32) {
    const std::filesystem::path folder = folder_for(which.name + "_" + precision_name(which.precision));
    if (!std::filesystem::exists(folder / "fathom.json")) {
      must(write_random_bundle(folder, which.spec, 7, which.policy));
      Json fathom = must(Bundle::open(folder))->fathom();
      fathom["precision"] = precision_name(which.precision);
      must(update_bundle(folder, fathom));
    }
    model = load_model(folder);
    runtime = must(Runtime::create({tier, threads}));
    plan = must(Plan::compile(model, *runtime));
    session.emplace(must(Session::create(plan, *runtime, {max_batch, 0})));
  }
  std::vector<Prediction> run(const Batch& batch, const RunOptions& options) {
    std::vector<Prediction> predictions(batch.count);
    must(session->run(batch, options, predictions));
    return predictions;
  }
  std::shared_ptr<const Model> model;
  std::unique_ptr<Runtime> runtime;
  std::shared_ptr<const Plan> plan;
  std::optional<Session> session;
};

inline std::vector<std::string> tiers_here() {
  std::vector<std::string> tiers;
  for (const Tier tier : kAllTiers)
    if (tier_available(tier, detect_cpu())) tiers.push_back(tier_name(tier));
  return tiers;
}

inline std::vector<float> copy(std::span<const float> values) { return {values.begin(), values.end()}; }

}  // namespace fathom::engine::testing
