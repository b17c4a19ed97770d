// Bundles of random weights, for tests and benchmarks of this room: any ModelSpec, a policy, a small predictor.
// Same spec, seed and policy, same bytes. The models have learned nothing; their scores spread over (0, 1).
#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"
#include "model/spec.h"
#include "policy/policy.h"

namespace fathom::engine {

// Six layers of 32, three classes: text of at most 12 tokens (a vocabulary of 60), or pictures of 16 x 16.
ModelSpec small_spec(Modality modality);

// A policy of `spec`'s size with random fusion weights and temperatures near 1. `kind` decides how the trees are meant.
policy::Policy random_policy(const ModelSpec& spec, std::uint64_t seed,
                             policy::PredictorKind kind = policy::PredictorKind::survival);

// LightGBM text of `trees` trees of eight leaves over the model's features (survival: the exit too).
std::string random_predictor(const ModelSpec& spec, policy::PredictorKind kind, std::uint64_t seed, int trees);

// Writes the bundle folder and returns it. predictor_trees 0: no predictor.txt. Errors: those of write_bundle.
Result<std::filesystem::path> write_random_bundle(const std::filesystem::path& folder, const ModelSpec& spec,
                                                  std::uint64_t seed, const policy::Policy& policy,
                                                  int predictor_trees = 12);

}  // namespace fathom::engine
