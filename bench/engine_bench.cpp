// Times of this room alone, on random models: full depth, the decision's share, backbone hidden states.
// Usage: fathom_engine_bench [tier] [threads]. One line a figure, medians of repeated runs.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <vector>

#include "base/log.h"
#include "base/random.h"
#include "bundle/bundle.h"
#include "engine/engine.h"
#include "engine/random_bundle.h"

namespace fathom::engine {
namespace {

double median_us(int runs, const std::function<void()>& body) {
  for (int i = 0; i < runs / 10 + 2; ++i) body();
  std::vector<double> times;
  for (int i = 0; i < runs; ++i) {
    const double begin = seconds_now();
    body();
    times.push_back(1e6 * (seconds_now() - begin));
  }
  std::sort(times.begin(), times.end());
  std::printf("min %8.1f us  median %8.1f us\n", times.front(), times[times.size() / 2]);
  return times[times.size() / 2];
}

ModelSpec demo_text() {
  ModelSpec spec;
  spec.layers = 12, spec.hidden = 64, spec.heads = 4, spec.ffn = 128;
  spec.norm = NormOrder::pre, spec.attention_window = 1, spec.pooling = Pooling::cls;
  spec.vocab = 60, spec.max_tokens = 32, spec.token_types = 0;
  spec.label_names = {"0", "1"};
  size_decision(spec);
  spec.exit_head_hidden = 64;
  return spec;
}

ModelSpec bert_base() {
  ModelSpec spec;
  spec.vocab = 1000, spec.max_tokens = 64;  // the tables' size does not change the time
  spec.label_names = {"0", "1"};
  size_decision(spec);
  return spec;
}

int measure(const char* name, const ModelSpec& spec, std::size_t tokens, std::size_t count, int runs,
            const RuntimeOptions& options) {
  const auto folder = std::filesystem::temp_directory_path() / ("fathom_engine_bench_" + std::to_string(::getpid()));
  policy::Policy policy = random_policy(spec, 1);
  for (float& bias : policy.fusion.bias) bias = -4.0f;  // scores stay low: with lambda 1 no input stops
  const auto fail = [](const Error& error) {
    std::fprintf(stderr, "%s\n", error.message.c_str());
    return 1;
  };
  if (const auto made = write_random_bundle(folder, spec, 1, policy, 60); !made) return fail(made.error());
  auto runtime = Runtime::create(options);
  if (!runtime) return fail(runtime.error());
  auto bundle = Bundle::open(folder);
  if (!bundle) return fail(bundle.error());
  auto model = Model::load(*bundle);
  if (!model) return fail(model.error());
  auto plan = Plan::compile(*model, **runtime);
  if (!plan) return fail(plan.error());
  auto session = Session::create(*plan, **runtime, {count, tokens});
  if (!session) return fail(session.error());

  Random random(3);
  std::vector<std::int32_t> ids, offsets;
  for (std::size_t i = 0; i < count * tokens; ++i) ids.push_back(static_cast<std::int32_t>(random.below(60)));
  for (std::size_t i = 0; i <= count; ++i) offsets.push_back(static_cast<std::int32_t>(i * tokens));
  const Batch batch{count, ids, offsets, nullptr, {}};
  std::vector<Prediction> out(count);
  const auto timed = [&](const char* what, const RunOptions& run) {
    std::printf("%s, %zu x %zu tokens, %s: ", name, count, tokens, what);
    return median_us(runs, [&] { (void)session->run(batch, run, out); });
  };
  RunOptions run;
  run.mode = Mode::full_depth;
  const double full = timed("full depth", run);
  run.mode = Mode::adaptive;
  run.lambda = 1.0f;
  for (const char* score : {"confidence", "predictor", "policy", "fused"}) {
    run.score = static_cast<int>(*policy::parse_score(score, ""));
    run.profile_decision = false;
    const double adaptive = timed(score, run);
    run.profile_decision = true;
    std::vector<double> own;
    for (int i = 0; i < runs; ++i) {
      session->reset_decision_seconds();
      (void)session->run(batch, run, out);
      own.push_back(1e6 * session->decision_seconds());
    }
    std::sort(own.begin(), own.end());
    const double decision = own[own.size() / 2];
    std::printf(
        "  depth %d, %.1f us above full depth, decision %.1f us by its own clock (%.1f %% of full depth), %.2f %% of "
        "MACs\n",
        out[0].depth, adaptive - full, decision, 100 * decision / full, 100 * out[0].decision_macs / out[0].macs);
  }
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
  return 0;
}

}  // namespace
}  // namespace fathom::engine

int main(int argc, char** argv) {
  using namespace fathom::engine;
  const RuntimeOptions options{argc > 1 ? argv[1] : "auto", argc > 2 ? std::atoi(argv[2]) : 1};
  return measure("12x64", demo_text(), 13, 1, 1000, options) + measure("12x64", demo_text(), 13, 32, 60, options) +
         measure("12x768", bert_base(), 33, 1, 9, options);
}
