// Choosing operating points from a trace: pure functions on matrices, no engine.
// l_opt is the stable depth (docs/formats/bundle.md): the first exit from which every later exit agrees with the last.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace fathom::policy {

// Everything one full-depth pass over n inputs tells; row-major [n][layers] or [n][layers - 1].
struct Trace {
  int layers = 0, classes = 0;
  std::vector<std::int32_t> labels;       // true class, or empty
  std::vector<std::int32_t> complexity;   // generated data, or empty
  std::vector<std::int32_t> tokens;       // per input
  std::vector<float> logits;              // [n][layers][classes]
  std::vector<std::int32_t> predictions;  // [n][layers]
  std::vector<float> scores[4];           // by Score: [n][layers - 1]; empty where the system has none
  std::size_t size() const { return tokens.size(); }
};

std::vector<std::int32_t> stable_depth(std::span<const std::int32_t> predictions, int layers);  // [n], 1..layers

// Exit of each input: first exit e >= first_exit with score >= lambda, else layers.
std::vector<std::int32_t> exits_at(std::span<const float> scores, int layers, float lambda, int first_exit);

// Thresholds worth trying: quantiles of the scores, descending from full depth, at most `most`.
std::vector<float> candidate_thresholds(std::span<const float> scores, std::size_t most);

// The most aggressive threshold whose disagreement with full depth stays <= budget at it and at every more cautious
// candidate (fixed sequence; the last one before the first failure). Returns 2 (full depth) if none.
float choose_by_consistency(const Trace& trace, std::span<const float> scores, int first_exit, double budget);

}  // namespace fathom::policy
