#include "policy/signals.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace fathom::policy {

std::int32_t argmax(std::span<const float> values) {
  FATHOM_DCHECK(!values.empty(), "argmax of nothing");
  std::size_t best = 0;
  for (std::size_t i = 1; i < values.size(); ++i)
    if (values[i] > values[best]) best = i;
  return static_cast<std::int32_t>(best);
}

Signals signals_of(std::span<const float> p, std::span<const float> previous, int exit, int layers) {
  FATHOM_DCHECK(p.size() >= 2 && (previous.empty() || previous.size() == p.size()), "probabilities of another task");
  const std::int32_t label = argmax(p);
  const float first = p[static_cast<std::size_t>(label)];
  float second = 0.0f, entropy = 0.0f;
  for (std::size_t i = 0; i < p.size(); ++i) {
    if (static_cast<std::int32_t>(i) != label) second = std::max(second, p[i]);
    if (p[i] > 0.0f) entropy -= p[i] * std::log(p[i]);
  }
  Signals signals;
  signals.confidence_logit = std::clamp(std::log(first / (1.0f - first)), -10.0f, 10.0f);
  signals.margin = first - second;
  signals.entropy = std::clamp(entropy / std::log(static_cast<float>(p.size())), 0.0f, 1.0f);
  signals.depth = static_cast<float>(exit) / static_cast<float>(layers);
  if (previous.empty()) return signals;
  signals.agrees = label == argmax(previous) ? 1.0f : 0.0f;
  float divergence = 0.0f;
  for (std::size_t i = 0; i < p.size(); ++i)
    if (p[i] > 0.0f) divergence += p[i] * std::log(p[i] / previous[i]);  // previous 0: infinite, clamped below
  signals.divergence = std::clamp(divergence, 0.0f, 10.0f);
  return signals;
}

}  // namespace fathom::policy
