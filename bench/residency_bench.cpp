// A memory budget for layers, measured: the decisions of one model replayed, one input at a time, on another of as many
// layers, whose layers are large. Two steps, so that the timed process holds nothing of the first model:
//   residency_bench --trace FITTED SCORES [--inputs 300]   scores of FITTED's exits on its test split, into SCORES
//   residency_bench BUNDLE SCORES [--budget MB] [--told] [--forget] [--threads 1]
// prints one JSON object: ms of an input (mean, median, 99th percentile; of the processor's time the mean, which others
// on the machine hardly touch), resident memory (mean over the inputs, and the process's peak, MB), what the budget
// did. The engine decides as it always does, exit by exit, every head computed; only the score that is compared with
// the threshold is the recorded one. --told: trajectories are given beforehand instead.
// --forget: evicted layers leave the page cache too, as on a machine without memory to spare.
#include <algorithm>
#include <bit>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "base/file.h"
#include "base/json.h"
#include "data/sample.h"
#include "engine/engine.h"
#include "eval/bench_bundle.h"
#include "eval/recorded_data.h"
#include "eval/timing.h"
#include "eval/trace.h"
#include "model/model.h"

namespace {

using namespace fathom;
using Clock = std::chrono::steady_clock;

struct Request {
  std::filesystem::path bundle, scores;
  engine::RuntimeOptions runtime{"", 1};
  int inputs = 300;
  bool trace = false, told = false;
};

struct Scores {
  float lambda = 2;
  int layers = 0;
  std::vector<float> values;  // [inputs, layers - 1]
  std::size_t inputs() const { return values.size() / static_cast<std::size_t>(layers - 1); }
  std::span<const float> of(std::size_t input) const {
    const std::size_t width = static_cast<std::size_t>(layers - 1);
    return std::span(values).subspan(input * width, width);
  }
  std::uint64_t trajectory(std::size_t input) const {
    const auto row = of(input);
    const auto stop = std::find_if(row.begin(), row.end(), [&](float score) { return score >= lambda; });
    const int depth = static_cast<int>(stop - row.begin()) + 1;
    return depth >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << depth) - 1;
  }
};

Result<Json> trace(const Request& request) {
  FATHOM_TRY(auto runtime, engine::Runtime::create(request.runtime));
  FATHOM_TRY(const auto bundle, Bundle::open(request.bundle));
  FATHOM_TRY(const auto model, Model::load(bundle));
  FATHOM_TRY(const auto plan, engine::Plan::compile(model, *runtime));
  FATHOM_TRY(const auto data, eval::read_eval_data(bundle->fathom(), {}, request.bundle.string()));
  FATHOM_TRY(const auto all, eval::encode_split(data.dataset, data::Part::test, model->spec(), request.bundle));
  const std::size_t most = std::min(all.count, static_cast<std::size_t>(request.inputs));
  const eval::Encoded some = eval::select(all, data::sample_rows(all.count, most));
  FATHOM_TRY(const auto traced, eval::trace_inputs(plan, *runtime, some));
  const auto& scores = traced.trace.scores[static_cast<std::size_t>(plan->policy().score)];
  const Json out = {{"lambda", plan->policy().lambda}, {"layers", model->spec().layers}, {"scores", scores}};
  FATHOM_TRY_VOID(write_file_atomic(request.scores, out.dump() + "\n"));
  return Json{{"inputs", most}, {"score", policy::score_name(plan->policy().score)}};
}

Result<Scores> read_scores(const std::filesystem::path& path, int layers) {
  FATHOM_TRY(const std::string text, read_file(path));
  FATHOM_TRY(const Json json, parse_json(text, path.string()));
  Scores out;
  FATHOM_TRY(const double lambda, json_number(json, "lambda", 0, 2, path.string()));
  FATHOM_TRY(const std::int64_t counted, json_int(json, "layers", 2, 64, path.string()));
  out.lambda = static_cast<float>(lambda);
  out.layers = static_cast<int>(counted);
  if (json.contains("scores"))
    for (const Json& score : json["scores"]) out.values.push_back(score.is_number() ? score.get<float>() : 0.0f);
  if (out.layers != layers || out.values.empty() || out.values.size() % static_cast<std::size_t>(layers - 1) != 0)
    return Error{Code::bad_input, path.string() + ": expected scores of " + std::to_string(layers - 1) + " exits", ""};
  return out;
}

double cpu_ms() {  // of this process, system calls included
  std::timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return 1e3 * static_cast<double>(now.tv_sec) + 1e-6 * static_cast<double>(now.tv_nsec);
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
  FATHOM_TRY(const Scores scores, read_scores(request.scores, spec.layers));
  const auto inputs = eval::random_inputs(spec, 64, std::min(33, spec.tokens()), 1);
  const eval::Batches batches(inputs, 1);
  FATHOM_TRY(auto session, engine::Session::create(plan, *runtime, {1, 0}));
  std::vector<engine::Prediction> prediction(1);
  engine::RunOptions options;
  options.lambda = scores.lambda;
  std::vector<double> times;
  double resident = 0, depth = 0, cpu = 0;
  for (std::size_t i = 0; i < scores.inputs(); ++i) {
    const std::uint64_t trajectory = scores.trajectory(i);
    if (request.told) {
      options.mode = engine::Mode::masks;
      options.masks = std::span(&trajectory, 1);
    } else {
      options.replay = scores.of(i);
    }
    const double cpu_before = cpu_ms();
    const auto start = Clock::now();
    FATHOM_TRY_VOID(session.run(batches[i % batches.size()], options, prediction));
    times.push_back(eval::ms_since(start));
    cpu += cpu_ms() - cpu_before;
    if (prediction[0].trajectory != trajectory) return Error{Code::internal, "replayed another trajectory", ""};
    resident += status_mb("VmRSS:");
    depth += std::popcount(trajectory);
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
              {"mean_cpu_ms", cpu / count},
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
    else if (words[i] == "--told")
      request.told = true;
    else if (words[i] == "--trace")
      request.trace = true;
    else if (words[i] == "--budget" && valued)
      request.runtime.memory_budget = static_cast<std::size_t>(1e6 * std::atof(words[++i].c_str()));
    else if (words[i] == "--threads" && valued)
      request.runtime.threads = std::atoi(words[++i].c_str());
    else if (words[i] == "--inputs" && valued)
      request.inputs = std::atoi(words[++i].c_str());
    else
      places.push_back(words[i]);
  }
  if (places.size() != 2 || request.inputs < 1) {
    std::fprintf(stderr,
                 "residency_bench --trace FITTED SCORES [--inputs N]\n"
                 "residency_bench BUNDLE SCORES [--budget MB] [--told] [--forget] [--threads N]\n");
    return 2;
  }
  request.bundle = places[0];
  request.scores = places[1];
  const auto row = request.trace ? trace(request) : measure(request);
  if (!row) {
    std::fprintf(stderr, "residency_bench: %s%s%s\n", row.error().message.c_str(), row.error().hint.empty() ? "" : "; ",
                 row.error().hint.c_str());
    return 3;
  }
  std::printf("%s\n", row->dump().c_str());
  return 0;
}
