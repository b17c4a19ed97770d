#include "eval/trace.h"

#include <algorithm>
#include <cmath>

#include "policy/signals.h"

namespace fathom::eval {
namespace {

constexpr policy::Score kScores[4] = {policy::Score::confidence, policy::Score::predictor, policy::Score::policy,
                                      policy::Score::fused};

// A session for these inputs: sized by the longest of them, not by the model's maximum.
Result<engine::Session> session_for(const std::shared_ptr<const engine::Plan>& plan, engine::Runtime& runtime,
                                    const Encoded& inputs) {
  engine::SessionLimits limits;
  limits.max_batch = std::min(kTraceBatch, inputs.count);
  limits.max_tokens = static_cast<std::size_t>(*std::max_element(inputs.tokens.begin(), inputs.tokens.end()));
  return engine::Session::create(plan, runtime, limits);
}

void append(std::vector<float>& to, std::span<const float> from) { to.insert(to.end(), from.begin(), from.end()); }

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
  FATHOM_TRY(engine::Session session, session_for(plan, runtime, inputs));
  engine::RunOptions options;
  options.mode = engine::Mode::trace;
  std::vector<engine::Prediction> predictions(kTraceBatch);
  std::vector<std::int32_t> offsets;
  for (std::size_t first = 0; first < inputs.count; first += kTraceBatch) {
    const std::size_t count = std::min(kTraceBatch, inputs.count - first);
    const Status status = session.run(batch_of(inputs, first, count, offsets), options, predictions);
    if (!status) return status.error().within("inputs from number " + std::to_string(first + 1));
    append(trace.logits, session.trace_logits());
    append(out.norms, session.trace_norms());
    for (const policy::Score score : kScores) append(trace.scores[static_cast<int>(score)], session.trace_scores(score));
    if (tick) tick(first + count, inputs.count);
  }
  const std::size_t exits = inputs.count * static_cast<std::size_t>(trace.layers);
  const std::size_t classes = static_cast<std::size_t>(trace.classes);
  FATHOM_CHECK(trace.logits.size() == exits * classes, "the engine's trace has another size");
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
                                                   engine::RunOptions options, std::span<const std::uint64_t> masks) {
  FATHOM_TRY(engine::Session session, session_for(plan, runtime, inputs));
  std::vector<engine::Prediction> predictions(inputs.count);
  std::vector<std::int32_t> offsets;
  for (std::size_t first = 0; first < inputs.count; first += kTraceBatch) {
    const std::size_t count = std::min(kTraceBatch, inputs.count - first);
    if (!masks.empty()) options.masks = masks.subspan(first, count);
    const Status status =
        session.run(batch_of(inputs, first, count, offsets), options, std::span(predictions).subspan(first, count));
    if (!status) return status.error().within("inputs from number " + std::to_string(first + 1));
  }
  return predictions;
}

}  // namespace fathom::eval
