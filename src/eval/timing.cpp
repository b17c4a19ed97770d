#include "eval/timing.h"

#include <algorithm>
#include <chrono>
#include <map>

namespace fathom::eval {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

struct Key {
  const engine::Plan* plan;
  const Encoded* inputs;
  bool operator<(const Key& other) const {
    return std::pair(plan, inputs) < std::pair(other.plan, other.inputs);
  }
};

// Sessions and ready-made batches of one batch size, shared by the runs of one plan.
class Bench {
 public:
  explicit Bench(std::size_t batch) : batch_(batch), predictions_(batch) {}

  Status prepare(const TimedRun& run, engine::Runtime& runtime) {
    const Key key{run.plan.get(), run.inputs};
    if (sessions_.contains(key)) return {};
    engine::SessionLimits limits;
    limits.max_batch = batch_;
    limits.max_tokens =
        static_cast<std::size_t>(*std::max_element(run.inputs->tokens.begin(), run.inputs->tokens.end()));
    FATHOM_TRY(engine::Session session, engine::Session::create(run.plan, runtime, limits));
    sessions_.emplace(key, std::move(session));
    batches_.emplace(key, Batches(*run.inputs, batch_));
    return {};
  }

  // Mean milliseconds per input over the whole sample.
  Result<double> time(const TimedRun& run, std::size_t most = 0) {
    const Key key{run.plan.get(), run.inputs};
    engine::Session& session = sessions_.at(key);
    const Batches& batches = batches_.at(key);
    engine::RunOptions options = run.options;
    const auto start = Clock::now();
    std::size_t done = 0;
    for (std::size_t i = 0; i < batches.size() && (most == 0 || done < most); done += batches[i++].count) {
      if (!run.masks.empty()) options.masks = std::span(run.masks).subspan(batches.first(i), batches[i].count);
      FATHOM_TRY_VOID(session.run(batches[i], options, predictions_));
    }
    return seconds_since(start) * 1e3 / static_cast<double>(done);
  }

 private:
  std::size_t batch_;
  std::vector<engine::Prediction> predictions_;
  std::map<Key, engine::Session> sessions_;
  std::map<Key, Batches> batches_;
};

}  // namespace

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

Result<TimingOptions> fit_to_budget(const std::shared_ptr<const engine::Plan>& plan, engine::Runtime& runtime,
                                    const Encoded& inputs, std::size_t runs, const TimingOptions& options) {
  std::vector<std::size_t> rows(std::min<std::size_t>(8, inputs.count));
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = i;
  const Encoded few = select(inputs, rows);
  TimedRun probe{"probe", plan, &few, {}, {}};
  probe.options.mode = engine::Mode::full_depth;
  Bench bench(1);
  FATHOM_TRY_VOID(bench.prepare(probe, runtime));
  FATHOM_TRY_VOID(bench.time(probe));  // first touch of the weights
  FATHOM_TRY(const double ms, bench.time(probe));
  // Both batch sizes, one unrecorded round; adaptive runs cost about two thirds of this.
  const double per_input = ms * 1e-3 * 1.4 * static_cast<double>(runs) * (options.rounds + 1);
  const double fit = options.seconds / per_input;
  TimingOptions out = options;
  out.inputs = std::min(inputs.count, static_cast<std::size_t>(std::clamp(fit, 32.0, double(options.most_inputs))) / 32 * 32);
  if (fit >= 32) return out;
  out.rounds = 3;
  const double batch1 = options.seconds / 2 / (ms * 1e-3 * static_cast<double>(runs) * (out.rounds + 1));
  out.batch1_inputs = static_cast<std::size_t>(std::clamp(batch1, 8.0, 32.0));
  out.never_exit_inputs = 16;
  return out;
}

Status time_runs(std::vector<TimedRun>& runs, engine::Runtime& runtime, const TimingOptions& options) {
  for (const std::size_t batch : {std::size_t{1}, std::size_t{32}}) {
    if (batch == 32 && !options.batch32) continue;
    Bench bench(batch);
    for (const TimedRun& run : runs) FATHOM_TRY_VOID(bench.prepare(run, runtime));
    std::vector<std::vector<double>> rounds(runs.size());
    for (int round = -1; round < options.rounds; ++round) {  // round -1 warms caches and is not recorded
      for (std::size_t k = 0; k < runs.size(); ++k) {
        const std::size_t at = (k + static_cast<std::size_t>(round + 1)) % runs.size();
        FATHOM_TRY(const double ms, bench.time(runs[at], batch == 1 ? options.batch1_inputs : 0));
        if (round >= 0) rounds[at].push_back(ms);
      }
    }
    for (std::size_t k = 0; k < runs.size(); ++k) (batch == 1 ? runs[k].ms_batch1 : runs[k].ms_batch32) = median(rounds[k]);
  }
  return {};
}

Result<DecisionTime> time_decision(const std::shared_ptr<const engine::Plan>& plan, engine::Runtime& runtime,
                                   const Encoded& inputs, float lambda, const TimingOptions& timing) {
  engine::SessionLimits limits;
  limits.max_batch = 1;
  limits.max_tokens = static_cast<std::size_t>(*std::max_element(inputs.tokens.begin(), inputs.tokens.end()));
  FATHOM_TRY(engine::Session session, engine::Session::create(plan, runtime, limits));
  const Batches batches(inputs, 1);
  const std::size_t count = timing.batch1_inputs == 0 ? batches.size() : std::min(batches.size(), timing.batch1_inputs);
  engine::RunOptions options;
  options.lambda = lambda;
  options.profile_decision = true;
  std::vector<engine::Prediction> prediction(1);
  std::vector<double> decision, all;
  for (int round = -1; round < timing.rounds; ++round) {
    session.reset_decision_seconds();
    const auto start = Clock::now();
    for (std::size_t i = 0; i < count; ++i) FATHOM_TRY_VOID(session.run(batches[i], options, prediction));
    if (round < 0) continue;
    all.push_back(seconds_since(start));
    decision.push_back(session.decision_seconds());
  }
  return DecisionTime{median(decision), median(all)};
}

}  // namespace fathom::eval
