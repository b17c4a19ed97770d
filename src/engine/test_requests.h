// Tests only: every kind of request for a model, every kind of model for a tier, and a count of allocations.
#pragma once

#include <atomic>
#include <cstring>

#include "engine/test_models.h"

namespace fathom::engine::testing {

extern std::atomic<long> allocations;  // by operator new, in invariance_test.cpp

struct Request {
  std::string name;
  RunOptions options;
};

inline std::vector<Request> all_requests(const ModelSpec& spec, const std::vector<std::uint64_t>& masks) {
  std::vector<Request> requests;
  for (int score = 0; score < 4; ++score) {
    RunOptions options;
    options.score = score;
    options.lambda = 0.5f;
    options.profile_decision = true;
    requests.push_back({"adaptive " + std::to_string(score), options});
  }
  requests.push_back({"bundle's own", {}});
  for (const Mode mode : {Mode::full_depth, Mode::fixed_exit, Mode::masks, Mode::trace}) {
    RunOptions options;
    options.mode = mode;
    options.exit = spec.layers - 1;
    options.masks = masks;
    requests.push_back({"mode " + std::to_string(static_cast<int>(mode)), options});
  }
  return requests;
}

inline std::vector<std::uint64_t> random_masks(const ModelSpec& spec, std::size_t count) {
  Random random(9);
  std::vector<std::uint64_t> masks;
  for (std::size_t i = 0; i < count; ++i) masks.push_back(1 + random.below((std::uint64_t{1} << spec.layers) - 1));
  return masks;
}

inline bool same(const Prediction& a, const Prediction& b) {
  return a.label == b.label && std::memcmp(&a.confidence, &b.confidence, 4) == 0 && a.depth == b.depth &&
         a.trajectory == b.trajectory && a.macs == b.macs && a.decision_macs == b.decision_macs &&
         a.no_answer == b.no_answer;
}

// The reference kernels are slow: they run the small models only.
inline std::vector<Case> cases_with_gates(const std::string& tier) {
  std::vector<Case> cases = all_cases();
  if (tier == "ref") std::erase_if(cases, [](const Case& which) { return which.name == "wide"; });
  for (std::size_t i = 0, n = cases.size(); i < n; ++i) {
    if (cases[i].name == "wide") continue;
    cases.push_back(cases[i]);
    cases.back().name += "_gates";
    cases.back().policy.kind = policy::PolicyKind::gates;
    if (cases[i].name == "text_window") continue;  // pre-LN stands for it in "image"
    for (const Precision precision : {Precision::bf16, Precision::int8}) {
      cases.push_back(cases[i]);
      cases.back().precision = precision;
    }
  }
  return cases;
}

}  // namespace fathom::engine::testing
