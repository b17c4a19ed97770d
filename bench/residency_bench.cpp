// A memory budget for layers, measured: the trajectories of real predictions replayed, one input at a time, on a model
// of another size with as many layers. residency_bench BUNDLE TRAJECTORIES [--budget MB] [--forget] [--tokens 33]
// [--threads 1] [--rounds 1] TRAJECTORIES: what `fathom run --json` printed, an object with "trajectory": [layers] a
// line. Prints one JSON object: ms of an input (mean, median, 99th percentile), resident memory (mean over the inputs,
// and peak, MB), what the budget did. --forget: evicted layers leave the page cache too, as on a machine without memory
// to spare.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include "base/file.h"
#include "base/json.h"
#include "engine/engine.h"
#include "eval/bench_bundle.h"
#include "eval/timing.h"
#include "model/model.h"

namespace {

using namespace fathom;
using Clock = std::chrono::steady_clock;

struct Request {
  std::filesystem::path bundle, trajectories;
  engine::RuntimeOptions runtime{"", 1};
  int tokens = 33, rounds = 1;
};

Result<std::vector<std::uint64_t>> read_trajectories(const std::filesystem::path& path, int layers) {
  FATHOM_TRY(const std::string text, read_file(path));
  std::vector<std::uint64_t> masks;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    FATHOM_TRY(const Json json, parse_json(line, path.string() + ", line " + std::to_string(masks.size() + 1)));
    std::uint64_t mask = 0;
    if (json.is_object() && json.contains("trajectory") && json["trajectory"].is_array())
      for (const Json& layer : json["trajectory"])
        if (layer.is_number_integer() && layer.get<int>() >= 1 && layer.get<int>() <= layers)
          mask |= std::uint64_t{1} << (layer.get<int>() - 1);
    if (mask == 0)
      return Error{Code::bad_input,
                   path.string() + ", line " + std::to_string(masks.size() + 1) + ": no trajectory within " +
                       std::to_string(layers) + " layers",
                   ""};
    masks.push_back(mask);
  }
  if (masks.empty()) return Error{Code::bad_input, path.string() + " holds no line", "make it with fathom run --json"};
  return masks;
}

double status_mb(const char* name) {  // of /proc/self/status
  std::FILE* file = std::fopen("/proc/self/status", "r");
  if (file == nullptr) return 0;
  double kilobytes = 0;
  for (char line[256]; std::fgets(line, sizeof line, file) != nullptr;)
    if (std::strncmp(line, name, std::strlen(name)) == 0) kilobytes = std::atof(line + std::strlen(name));
  std::fclose(file);
  return kilobytes * 1024 / 1e6;
}

Result<Json> measure(const Request& request) {
  FATHOM_TRY(auto runtime, engine::Runtime::create(request.runtime));
  FATHOM_TRY(const auto bundle, Bundle::open(request.bundle));
  FATHOM_TRY(const auto model, Model::load(bundle));
  FATHOM_TRY(const auto plan, engine::Plan::compile(model, *runtime));
  const ModelSpec& spec = model->spec();
  FATHOM_TRY(const auto masks, read_trajectories(request.trajectories, spec.layers));
  const auto inputs = eval::random_inputs(spec, 64, std::min(request.tokens, spec.tokens()), 1);
  const eval::Batches batches(inputs, 1);
  FATHOM_TRY(auto session, engine::Session::create(plan, *runtime, {1, 0}));
  std::vector<engine::Prediction> prediction(1);
  engine::RunOptions options;
  options.mode = engine::Mode::masks;
  std::vector<double> times;
  double resident = 0, depth = 0;
  for (int round = 0; round < request.rounds; ++round)
    for (std::size_t i = 0; i < masks.size(); ++i) {
      options.masks = std::span(&masks[i], 1);
      const auto start = Clock::now();
      FATHOM_TRY_VOID(session.run(batches[i % batches.size()], options, prediction));
      times.push_back(eval::ms_since(start));
      resident += status_mb("VmRSS:");
      depth += prediction[0].depth;
    }
  const double count = static_cast<double>(times.size());
  double sum = 0;
  for (const double time : times) sum += time;
  std::sort(times.begin(), times.end());
  return Json{{"inputs", times.size()},
              {"mean_depth", depth / count},
              {"layers", spec.layers},
              {"weights_mb", static_cast<double>(plan->weight_bytes(spec.layers)) / 1e6},
              {"precision", precision_name(model->precision())},
              {"mean_ms", sum / count},
              {"p50_ms", times[times.size() / 2]},
              {"p99_ms", times[times.size() * 99 / 100]},
              {"mean_resident_mb", resident / count},
              {"peak_resident_mb", status_mb("VmHWM:")},
              {"memory", eval::memory_json(session.residency())}};
}

}  // namespace

int main(int argc, char** argv) {
  Request request;
  std::vector<std::string> words(argv + 1, argv + argc), places;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const bool valued = i + 1 < words.size();
    if (words[i] == "--forget")
      request.runtime.forget_evicted = true;
    else if (words[i] == "--budget" && valued)
      request.runtime.memory_budget = static_cast<std::size_t>(1e6 * std::atof(words[++i].c_str()));
    else if (words[i] == "--tokens" && valued)
      request.tokens = std::atoi(words[++i].c_str());
    else if (words[i] == "--threads" && valued)
      request.runtime.threads = std::atoi(words[++i].c_str());
    else if (words[i] == "--rounds" && valued)
      request.rounds = std::atoi(words[++i].c_str());
    else
      places.push_back(words[i]);
  }
  if (places.size() != 2 || request.tokens < 1 || request.rounds < 1) {
    std::fprintf(
        stderr,
        "residency_bench BUNDLE TRAJECTORIES [--budget MB] [--forget] [--tokens N] [--threads N] [--rounds N]\n");
    return 2;
  }
  request.bundle = places[0];
  request.trajectories = places[1];
  const auto row = measure(request);
  if (!row) {
    std::fprintf(stderr, "residency_bench: %s%s%s\n", row.error().message.c_str(), row.error().hint.empty() ? "" : "; ",
                 row.error().hint.c_str());
    return 3;
  }
  std::printf("%s\n", row->dump().c_str());
  return 0;
}
