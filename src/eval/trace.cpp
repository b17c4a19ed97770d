#include "eval/trace.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>

#include "policy/signals.h"

namespace fathom::eval {
namespace {

constexpr policy::Score kScores[4] = {policy::Score::confidence, policy::Score::predictor, policy::Score::policy,
                                      policy::Score::fused};

// `from` to its place in the whole; nothing where the engine has nothing.
void put(std::vector<float>& whole, std::size_t at, std::span<const float> from) {
  FATHOM_CHECK(from.empty() || at + from.size() <= whole.size(), "the engine's trace has another size");
  std::copy(from.begin(), from.end(), whole.begin() + static_cast<std::ptrdiff_t>(at));
}

void softmax(const float* logits, float temperature, std::vector<float>& p) {
  const float top = *std::max_element(logits, logits + p.size());
  float sum = 0;
  for (std::size_t c = 0; c < p.size(); ++c) sum += p[c] = std::exp((logits[c] - top) / temperature);
  for (float& x : p) x /= sum;
}

}  // namespace

Result<Traced> trace_inputs(const std::shared_ptr<const engine::Plan>& plan, engine::Runtime& runtime,
                            const Encoded& inputs, const Tick& tick) {
  Traced out;
  policy::Trace& trace = out.trace;
  trace.layers = plan->spec().layers;
  trace.classes = plan->spec().classes();
  trace.labels = inputs.labels;
  trace.complexity = inputs.complexity;
  trace.tokens = inputs.tokens;
  const std::size_t layers = static_cast<std::size_t>(trace.layers), classes = static_cast<std::size_t>(trace.classes);
  const std::size_t exits = inputs.count * layers;
  trace.logits.resize(exits * classes);
  out.norms.resize(exits);
  for (auto& scores : trace.scores) scores.resize(exits - inputs.count);
  std::array<std::atomic<bool>, 4> scored{};
  const auto on_batch = [&](engine::Session& session, const engine::Batch& batch, std::size_t first) -> Status {
    engine::RunOptions options;
    options.mode = engine::Mode::trace;
    std::array<engine::Prediction, kCrewBatch> predictions;
    FATHOM_TRY_VOID(session.run(batch, options, predictions));
    put(trace.logits, first * layers * classes, session.trace_logits());
    put(out.norms, first * layers, session.trace_norms());
    for (const policy::Score score : kScores) {
      const std::size_t which = static_cast<std::size_t>(score);
      put(trace.scores[which], first * (layers - 1), session.trace_scores(score));
      if (!session.trace_scores(score).empty()) scored[which] = true;
    }
    return {};
  };
  FATHOM_TRY_VOID(for_batches(plan, runtime, inputs, on_batch, tick));
  for (std::size_t which = 0; which < scored.size(); ++which)
    if (!scored[which]) trace.scores[which].clear();
  trace.predictions.resize(exits);
  for (std::size_t i = 0; i < exits; ++i)
    trace.predictions[i] = policy::argmax(std::span(trace.logits).subspan(i * classes, classes));
  add_fused_bounds(plan->policy(), out);
  return out;
}

void add_fused_bounds(const policy::Policy& policy, Traced& traced) {
  const policy::Trace& trace = traced.trace;
  const auto& logit_scores = trace.scores[static_cast<int>(policy::Score::policy)];
  if (trace.scores[static_cast<int>(policy::Score::fused)].empty() || logit_scores.empty()) return;
  const std::size_t layers = static_cast<std::size_t>(trace.layers), classes = static_cast<std::size_t>(trace.classes);
  std::vector<float> p(classes), previous(classes);
  for (std::size_t i = 0; i < trace.size(); ++i) {
    for (std::size_t e = 1; e < layers; ++e) {
      const float* logits = trace.logits.data() + (i * layers + e - 1) * classes;
      softmax(logits, policy.temperature[e - 1], p);
      const bool first = static_cast<int>(e) <= policy.first_exit;
      const policy::Signals signals = policy::signals_of(
          p, first ? std::span<const float>() : std::span<const float>(previous), static_cast<int>(e), trace.layers);
      const float stop = std::clamp(logit_scores[i * (layers - 1) + e - 1], 1e-7f, 1 - 1e-7f);
      const float logit = std::log(stop / (1 - stop));
      const float a = policy::fused_score(policy.fusion, signals, 0.0f, logit, static_cast<int>(e));
      const float b = policy::fused_score(policy.fusion, signals, 1.0f, logit, static_cast<int>(e));
      traced.fused_low.push_back(std::min(a, b));
      traced.fused_high.push_back(std::max(a, b));
      std::swap(p, previous);
    }
  }
}

Result<std::vector<engine::Prediction>> run_inputs(const std::shared_ptr<const engine::Plan>& plan,
                                                   engine::Runtime& runtime, const Encoded& inputs,
                                                   const engine::RunOptions& options,
                                                   std::span<const std::uint64_t> masks, const Tick& tick) {
  std::vector<engine::Prediction> predictions(inputs.count);
  const auto on_batch = [&](engine::Session& session, const engine::Batch& batch, std::size_t first) {
    engine::RunOptions own = options;
    if (!masks.empty()) own.masks = masks.subspan(first, batch.count);
    return session.run(batch, own, std::span(predictions).subspan(first, batch.count));
  };
  FATHOM_TRY_VOID(for_batches(plan, runtime, inputs, on_batch, tick));
  return predictions;
}

}  // namespace fathom::eval
