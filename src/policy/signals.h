// What an exit tells about itself, computed from its logits: the evidence of one checkpoint.
// Used identically in training, calibration and the engine (float32, this very function), so scores agree.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace fathom::policy {

// Order is the order of LSTM inputs 0..5 and of the fused score's weights.
struct Signals {
  float confidence_logit = 0;  // log(p1 / (1 - p1)), clamped to [-10, 10]
  float margin = 0;            // p1 - p2
  float entropy = 0;           // -sum p log p / log(classes), in [0, 1]
  float agrees = 0;            // 1 if the label equals the previous evaluated exit's; 0 for the first
  float divergence = 0;        // KL(p || previous p), clamped to [0, 10]; 0 for the first
  float depth = 0;             // exit / layers
  static constexpr int kCount = 6;
  std::array<float, kCount> values() const { return {confidence_logit, margin, entropy, agrees, divergence, depth}; }
};

// p: softmax(logits / temperature) of this exit; previous: of the previous exit, or empty.
Signals signals_of(std::span<const float> p, std::span<const float> previous, int exit, int layers);

std::int32_t argmax(std::span<const float> values);  // first of equals

}  // namespace fathom::policy
