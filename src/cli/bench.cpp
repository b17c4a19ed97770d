// `fathom bench BUNDLE`: latency, throughput, start, switching, memory and energy of one bundle on this machine.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/log.h"
#include "bundle/bundle.h"
#include "cli/flags.h"
#include "cli/steps.h"
#include "cli/verbs.h"
#include "cli/words.h"
#include "data/sample.h"
#include "eval/bench_bundle.h"
#include "eval/recorded_data.h"

namespace fathom::cli {
namespace {

constexpr std::size_t kMostInputs = 512;

struct Options {
  eval::BenchOptions bench;
  fs::path data;
  int tokens = 0;
  bool random = false, json = false;
};

// Rows of the calibrate split where the data can be found; else random ones, and it says so.
Result<eval::Encoded> inputs_for(const Options& options) {
  FATHOM_TRY(const auto bundle, Bundle::open(options.bench.bundle));
  FATHOM_TRY(const auto model, Model::load(bundle));
  const ModelSpec& spec = model->spec();
  const bool known = bundle->fathom().contains("data") && !options.random && options.tokens == 0;
  if (known || !options.data.empty()) {
    auto data = eval::read_eval_data(bundle->fathom(), options.data,
                                     "bundle '" + options.bench.bundle.string() + "': fathom.json");
    if (data) {
      FATHOM_TRY(const auto inputs,
                 eval::encode_split(data->dataset, data::Part::calibrate, spec, options.bench.bundle, kMostInputs));
      return eval::select(inputs, data::draw_rows(inputs.count, 0));  // measuring may stop before the last of them
    }
    if (!options.data.empty()) return data.error();
    say("the data it was fitted on cannot be read (" + data.error().message +
        "): random inputs, whose depths mean nothing");
  }
  if (options.tokens > spec.tokens())
    return Error{
        Code::usage,
        "--tokens " + std::to_string(options.tokens) + ": the model reads at most " + std::to_string(spec.tokens()),
        ""};
  const int tokens = options.tokens > 0 ? options.tokens : std::min(spec.tokens(), 33);
  return eval::random_inputs(spec, 64, tokens, 1);
}

void print(const Json& bench) {
  std::printf("%s, tier %s, threads %d, layers in %s\n", bench["cpu"].get<std::string>().c_str(),
              bench["tier"].get<std::string>().c_str(), bench["threads"].get<int>(),
              bench["precision"].get<std::string>().c_str());
  std::printf("%zu inputs of %.1f tokens on average; ready in %.1f ms; packed weights %.1f MB\n\n",
              bench["inputs"].get<std::size_t>(), bench["mean_tokens"].get<double>(), bench["start_ms"].get<double>(),
              bench["weights_mb"].get<double>());
  std::printf("%-11s %10s %8s %8s %8s %8s %12s %10s %9s %10s\n", "", "MACs", "depth", "ms p50", "p90", "p99",
              "inputs/s, 32", "ms, 32", "peak MB", "of hot GEMM");
  for (const auto& [name, row] : bench["systems"].items()) {
    const Json& ms = row["latency_ms"];
    std::printf("%-11s %10s %8.2f %8.3f %8.3f %8.3f %12.1f %10.3f %9s %9.0f %%\n", name.c_str(),
                macs_text(row["macs"].get<double>()).c_str(), row["mean_depth"].get<double>(), ms["p50"].get<double>(),
                ms["p90"].get<double>(), ms["p99"].get<double>(), row["throughput"]["inputs_per_s"].get<double>(),
                row["throughput"]["ms_per_input"].get<double>(),
                row.contains("peak_mb") ? Json(std::round(10 * row["peak_mb"].get<double>()) / 10).dump().c_str() : "-",
                100 * row["share_of_hot_gemm"].get<double>());
  }
  std::printf("\n");
  if (bench.contains("saving"))
    for (const auto& [name, words] :
         {std::pair("batch1", "one by one"), std::pair("batch32", "batches of 32"), std::pair("stream", "a stream")}) {
      const Json& row = bench["saving"][name];
      const double macs = 100 * row["macs_saved"].get<double>(), ms = 100 * row["ms_saved"].get<double>();
      std::printf("%-13s %4zu inputs: depth saves %.1f %% of MACs and %.1f %% of time (%.3f of %.3f ms)\n", words,
                  row["inputs"].get<std::size_t>(), macs, ms, row["adaptive_ms"].get<double>(),
                  row["full_ms"].get<double>());
    }
  if (bench.contains("switching")) {
    const Json& d = bench["switching"]["difference_us"];
    std::printf(
        "switching trajectory, against repeating one: median %+.2f us (10th to 90th percentile %+.2f to %+.2f) over %d "
        "random trajectories\n",
        d["p50"].get<double>(), d["p10"].get<double>(), d["p90"].get<double>(),
        bench["switching"]["trajectories"].get<int>());
  }
  for (const auto& [name, row] : bench["systems"].items())
    if (row.contains("memory")) std::printf("%s, one by one: %s\n", name.c_str(), memory_text(row["memory"]).c_str());
  std::printf("energy: %s\n", bench["energy"].get<std::string>().c_str());
  for (const auto& [name, row] : bench["systems"].items())
    if (row.contains("joules_per_input"))
      std::printf("  %-11s %.4g J an input at batch 32\n", name.c_str(), row["joules_per_input"].get<double>());
}

Result<int> act(const Options& given) {
  Options options = given;
  options.bench.self = own_program();
  FATHOM_TRY(const auto inputs, inputs_for(options));
  FATHOM_TRY(const Json bench, eval::bench_bundle(options.bench, inputs));
  if (options.json)
    std::printf("%s\n", bench.dump(2).c_str());
  else
    print(bench);
  return 0;
}

}  // namespace

void add_bench(Frame& frame) {
  auto options = std::make_shared<Options>();
  CLI::App* verb =
      frame.verb("bench", "Measure how fast a bundle runs here: latency, throughput, start, switching, memory, energy");
  verb->add_option("bundle", options->bench.bundle, "Bundle folder")->required();
  CLI::Option* data = verb->add_option(
      "--data", options->data, "Data folder whose calibrate rows are run; default: the one the bundle was fitted on");
  verb->add_flag("--random", options->random, "Random inputs")->excludes(data);
  verb->add_option("--tokens", options->tokens, "Random texts of this many tokens")
      ->excludes(data)
      ->check(between(1, 1e6, "[1, 1000000]"));
  verb->add_option("--seconds", options->bench.seconds, "About how long each figure is measured")
      ->check(between(0.05, 600, "[0.05, 600]"))
      ->capture_default_str();
  verb->add_option("--trajectories", options->bench.trajectories,
                   "Random trajectories that are switched between; 0: none")
      ->check(between(0, 1e6, "[0, 1000000]"))
      ->capture_default_str();
  add_runtime_flags(verb, options->bench.runtime);
  add_memory_flag(verb, options->bench.runtime);
  add_json_flag(verb, options->json);
  frame.on(verb, [options] { return act(*options); });
}

}  // namespace fathom::cli
