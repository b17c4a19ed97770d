#include "eval/bench_bundle.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/random.h"
#include "bundle/bundle.h"
#include "data/sample.h"
#include "eval/energy.h"
#include "eval/peak.h"
#include "eval/saving.h"
#include "eval/scratch_folder.h"
#include "eval/steady.h"
#include "eval/timing.h"
#include "kernels/hot_gemm.h"
#include "model/ledger.h"

namespace fathom::eval {
namespace {

using Clock = std::chrono::steady_clock;

Json spread(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto at = [&](double share) {
    return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
  };
  double sum = 0;
  for (const double value : values) sum += value;
  return {{"mean", sum / static_cast<double>(values.size())},
          {"p10", at(0.1)},
          {"p50", at(0.5)},
          {"p90", at(0.9)},
          {"p99", at(0.99)},
          {"runs", values.size()}};
}

struct Bench {
  std::shared_ptr<const engine::Plan> plan;
  std::unique_ptr<engine::Runtime> runtime;
  const Encoded& inputs;
  double seconds;

  Result<engine::Session> session(std::size_t batch) {
    return engine::Session::create(plan, *runtime, limits_for(inputs, batch));
  }
};

// One by one, then in batches of 32.
Result<Json> run_system(Bench& bench, const engine::RunOptions& options, EnergyMeter& energy) {
  Json out;
  double macs = 0, depth = 0, ms = 0;
  std::size_t answered = 0;
  std::vector<engine::Prediction> predictions(kCrewBatch);
  for (const std::size_t size : {std::size_t{1}, kCrewBatch}) {
    FATHOM_TRY(auto session, bench.session(size));
    const Batches batches(bench.inputs, size);
    const auto answer = [&](std::size_t index) -> Result<SteadyRun> {
      const auto& batch = batches[index];
      const auto start = Clock::now();
      FATHOM_TRY_VOID(session.run(batch, options, predictions));
      SteadyRun run{ms_since(start), 0, 0, batch.count};
      for (std::size_t k = 0; k < batch.count; ++k) run.macs += predictions[k].macs, run.depth += predictions[k].depth;
      return run;
    };
    const bool metered = size > 1 && energy.why_not().empty();
    FATHOM_TRY(const Steady steady, run_steadily(batches.size(), bench.seconds, answer, metered ? &energy : nullptr));
    const double inputs = static_cast<double>(steady.inputs);
    if (size == 1)
      out["latency_ms"] = spread(steady.ms);
    else
      out["throughput"] = {{"inputs_per_s", 1e3 * inputs / steady.all_ms}, {"ms_per_input", steady.all_ms / inputs}};
    if (size == 1 && bench.runtime->memory_budget() > 0) out["memory"] = memory_json(session.residency());
    if (steady.joules) out["joules_per_input"] = *steady.joules / inputs;
    macs += steady.macs;
    depth += steady.depth;
    ms += steady.all_ms;
    answered += steady.inputs;
  }
  out["macs"] = macs / static_cast<double>(answered);
  out["mean_depth"] = depth / static_cast<double>(answered);
  out["gmacs_per_s"] = macs / ms / 1e6;
  return out;
}

// Each of many random trajectories twice in a row.
Result<Json> run_switching(Bench& bench, int trajectories) {
  const int layers = bench.plan->spec().layers;
  FATHOM_TRY(auto session, bench.session(1));
  const Batches batches(bench.inputs, 1);
  Random random(1, "trajectories");
  std::vector<double> difference, repeated;
  std::vector<engine::Prediction> prediction(1);
  engine::RunOptions options;
  options.mode = engine::Mode::masks;
  std::uint64_t before = 0;
  for (int i = 0; i < trajectories; ++i) {
    std::uint64_t mask = before;
    while (mask == before || mask == 0) mask = random.below(std::uint64_t{1} << layers);
    before = mask;
    options.masks = std::span(&mask, 1);
    double took[2];
    for (double& time : took) {
      const auto start = Clock::now();
      FATHOM_TRY_VOID(session.run(batches[0], options, prediction));
      time = 1e3 * ms_since(start);
    }
    difference.push_back(took[0] - took[1]);
    repeated.push_back(took[1]);
  }
  return Json{{"trajectories", trajectories}, {"difference_us", spread(difference)}, {"repeated_us", spread(repeated)}};
}

}  // namespace

Json memory_json(const engine::ResidencyReport& report) {
  return {{"budget_mb", static_cast<double>(report.budget_bytes) / 1e6},
          {"most_held_mb", static_cast<double>(report.most_held_bytes) / 1e6},
          {"hits", report.hits},
          {"read_ahead", report.read_ahead},
          {"misses", report.misses},
          {"evictions", report.evictions},
          {"stall_ms", 1e3 * report.stall_seconds}};
}

Result<Json> bench_bundle(const BenchOptions& options, const Encoded& inputs) {
  FATHOM_TRY(auto runtime, engine::Runtime::create(options.runtime));
  std::vector<double> starts;
  std::shared_ptr<const Model> model;
  std::shared_ptr<const engine::Plan> plan;
  for (int i = 0; i < 4; ++i) {  // the first may pack the weights, and is not counted
    const auto start = Clock::now();
    FATHOM_TRY(const auto bundle, Bundle::open(options.bundle));
    FATHOM_TRY(model, Model::load(bundle));
    FATHOM_TRY(plan, engine::Plan::compile(model, *runtime));
    FATHOM_TRY(const auto session, engine::Session::create(plan, *runtime, {1, 0}));
    (void)session;
    if (i > 0) starts.push_back(ms_since(start));
  }
  const ModelSpec& spec = model->spec();
  Bench bench{plan, std::move(runtime), inputs, options.seconds};
  EnergyMeter energy;
  Json out = {{"bundle", options.bundle.string()},
              {"cpu", cpu_name()},
              {"tier", bench.runtime->kernels().name},
              {"threads", bench.runtime->pool().threads()},
              {"precision", precision_name(model->precision())},
              {"inputs", inputs.count},
              {"start_ms", median(starts)},
              {"weights_mb", static_cast<double>(plan->weight_bytes(spec.layers)) / 1e6},
              {"systems", Json::object()}};
  double tokens = 0;
  for (const auto count : inputs.tokens) tokens += count;
  out["mean_tokens"] = tokens / static_cast<double>(inputs.count);
  const double hot = kernels::hot_gemm(bench.runtime->kernels(), bench.runtime->pool(), model->precision());
  out["hot_gemm_gmacs_per_s"] = hot;
  for (const bool adaptive : {false, true}) {
    if (adaptive && !plan->decides()) continue;
    engine::RunOptions run;
    run.mode = adaptive ? engine::Mode::adaptive : engine::Mode::full_depth;
    FATHOM_TRY(Json row, run_system(bench, run, energy));
    row["share_of_hot_gemm"] = row["gmacs_per_s"].get<double>() / hot;
    if (!options.self.empty()) {
      FATHOM_TRY(const ScratchFolder scratch, ScratchFolder::make());
      const fs::path file = scratch / "inputs.bin";
      FATHOM_TRY_VOID(write_inputs(file, select(inputs, data::draw_rows(inputs.count, 16))));
      PeakRun peak{options.bundle, run.mode, 0, -1, -1, 0, options.runtime.tier, 1, options.runtime.memory_budget};
      const auto mb = measure_peak(options.self, peak, file);
      if (!mb) return mb.error();
      row["peak_mb"] = *mb;
    }
    out["systems"][adaptive ? "fathom" : "full_depth"] = std::move(row);
  }
  if (plan->decides()) {
    FATHOM_TRY(out["saving"], measure_saving(plan, *bench.runtime, inputs, options.seconds));
  }
  if (options.trajectories > 0) {
    FATHOM_TRY(out["switching"], run_switching(bench, options.trajectories));
  }
  out["energy"] =
      energy.why_not().empty() ? Json("joules_per_input of every system") : Json("not measured: " + energy.why_not());
  return out;
}

}  // namespace fathom::eval
