#include "eval/timing.h"

#include <algorithm>
#include <chrono>
#include <map>

#include "data/sample.h"

namespace fathom::eval {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

struct Key {
  const engine::Plan* plan;
  const Encoded* inputs;
  bool operator<(const Key& other) const { return std::pair(plan, inputs) < std::pair(other.plan, other.inputs); }
};

// Sessions and ready-made batches of one batch size, shared by the runs of one plan.
class Bench {
 public:
  explicit Bench(std::size_t batch) : batch_(batch), predictions_(batch) {}

  Status prepare(const TimedRun& run, engine::Runtime& runtime) {
    const Key key{run.plan.get(), run.inputs};
    if (sessions_.contains(key)) return {};
    FATHOM_TRY(engine::Session session, engine::Session::create(run.plan, runtime, limits_for(*run.inputs, batch_)));
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
                                    const Encoded& inputs, const Workload& work, const TimingOptions& options) {
  const Encoded few = select(inputs, data::draw_rows(inputs.count, 8));
  TimedRun probe{"probe", plan, &few, {}, {}};
  probe.options.mode = engine::Mode::full_depth;
  Bench bench(1);
  FATHOM_TRY_VOID(bench.prepare(probe, runtime));
  FATHOM_TRY_VOID(bench.time(probe));  // first touch of the weights
  FATHOM_TRY(const double ms, bench.time(probe));
  constexpr double kBatch32 = 0.8;                                                 // of batch 1's time, at most
  constexpr double kNeverExit = 3.0;                                               // runs of the inputs that never exit
  const auto passes = [](int rounds) { return static_cast<double>(rounds + 1); };  // one is not recorded
  const double affordable = options.seconds / (ms * 1e-3);                         // runs of one input at full depth
  const double each = passes(options.rounds) * (work.systems * (1 + kBatch32) + 1 + kNeverExit / 2) +
                      passes(kCurveRounds) * work.curves;
  TimingOptions out = options;
  if (affordable / each >= 32) {
    out.inputs = static_cast<std::size_t>(std::min(affordable / each, double(options.most_inputs))) / 32 * 32;
    out.never_exit_inputs = out.inputs / 2;
  } else {
    const auto share = [&](double part, double per_input, double least) {
      return static_cast<std::size_t>(std::clamp(part * affordable / std::max(per_input, 1.0), least, 32.0));
    };
    out.inputs = 32;
    for (out.rounds = options.rounds; out.rounds > 3; out.rounds -= 2)
      if (passes(out.rounds) * work.systems * kBatch32 * 32 <= 0.3 * affordable) break;
    out.batch1_inputs = share(0.4, passes(out.rounds) * (work.systems + 1), 8);
    out.curve_inputs = share(0.3, passes(kCurveRounds) * work.curves, 4);
    out.never_exit_inputs = 16;
  }
  out.inputs = std::min(inputs.count, out.inputs);
  return out;
}

Status time_runs(std::vector<TimedRun>& runs, engine::Runtime& runtime, const TimingOptions& options,
                 const Tick& tick) {
  const std::size_t all = runs.size() * static_cast<std::size_t>(options.rounds + 1) * (options.batch32 ? 2 : 1);
  std::size_t done = 0;
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
        if (tick) tick(++done, all);
      }
    }
    for (std::size_t k = 0; k < runs.size(); ++k)
      (batch == 1 ? runs[k].ms_batch1 : runs[k].ms_batch32) = median(rounds[k]);
  }
  return {};
}

Result<DecisionTime> time_decision(const std::shared_ptr<const engine::Plan>& plan, engine::Runtime& runtime,
                                   const Encoded& inputs, float lambda, const TimingOptions& timing) {
  FATHOM_TRY(engine::Session session, engine::Session::create(plan, runtime, limits_for(inputs, 1)));
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
