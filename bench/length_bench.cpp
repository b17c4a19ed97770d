// Time of one text against its length, for every kind of attention, on random models: batch 1, one thread, full depth.
// length_bench [--rounds 7] [--tier NAME] [--window 64] [--shapes small,base]
// small: 2 layers x 64, 4 heads, as the trained example of docs/results.md; base: 12 x 768, 12 heads, as BERT-base.
// Processor time of the one thread: what it waits for other programs does not count. Rounds take every length and kind
// in turn; a round's figure is the least of its runs (at least three, or 50 ms), the result the least over the rounds,
// with their median beside it. One JSON document on stdout.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/random.h"
#include "bundle/bundle.h"
#include "engine/engine.h"
#include "engine/random_bundle.h"
#include "model/ledger.h"

namespace {

using namespace fathom;

constexpr int kLengths[] = {128, 256, 512, 1024, 2048};

double thread_seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

struct Options {
  engine::RuntimeOptions runtime{"auto", 1};
  int rounds = 7, window = 64;
  std::string shapes = "small,base";
};

ModelSpec spec_of(const std::string& shape) {
  ModelSpec spec;
  if (shape == "small") spec.layers = 2, spec.hidden = 64, spec.heads = 4, spec.ffn = 256;
  spec.norm = NormOrder::pre;
  spec.vocab = 1000, spec.max_tokens = 2048, spec.token_types = 0;  // the word table's size does not change the time
  spec.label_names = {"0", "1"};
  size_decision(spec);
  return spec;
}

class Subject {  // one model, ready to be timed
 public:
  static Result<Subject> make(const std::string& kind, const ModelSpec& spec, engine::Runtime& runtime) {
    const auto folder =
        std::filesystem::temp_directory_path() / ("fathom_length_bench_" + std::to_string(::getpid()) + "_" + kind);
    FATHOM_TRY_VOID(engine::write_random_bundle(folder, spec, 1, engine::random_policy(spec, 1)));
    FATHOM_TRY(const auto bundle, Bundle::open(folder));
    FATHOM_TRY(const auto model, Model::load(bundle));
    FATHOM_TRY(const auto plan, engine::Plan::compile(model, runtime));
    FATHOM_TRY(auto session, engine::Session::create(plan, runtime, {1, 0}));
    return Subject{kind, spec, folder, std::make_unique<engine::Session>(std::move(session)), {}};
  }
  Result<double> least_ms(const std::vector<std::int32_t>& ids, int tokens) {
    const std::vector<std::int32_t> some(ids.begin(), ids.begin() + tokens), ends{0, tokens};
    engine::RunOptions run;
    run.mode = engine::Mode::full_depth;
    std::vector<engine::Prediction> answer(1);
    double least = 1e300, all = 0;
    for (int i = 0; i < 3 || all < 0.05; ++i) {
      const double begin = thread_seconds();
      FATHOM_TRY_VOID(session->run({1, some, ends, nullptr, {}}, run, answer));
      const double took = thread_seconds() - begin;
      all += took;
      least = std::min(least, took);
    }
    return 1e3 * least;
  }
  std::string kind;
  ModelSpec spec;
  std::filesystem::path folder;
  std::unique_ptr<engine::Session> session;
  std::vector<std::vector<double>> times;  // [length][round]
};

Result<Json> measure(const std::string& shape, const Options& options, engine::Runtime& runtime) {
  std::vector<Subject> subjects;
  for (const char* kind : {"softmax", "window", "linear"}) {
    ModelSpec spec = spec_of(shape);
    if (kind[0] == 'w') spec.attention_window = options.window;
    if (kind[0] == 'l') spec.attention = Attention::linear;
    FATHOM_TRY(Subject subject, Subject::make(kind, spec, runtime));
    subjects.push_back(std::move(subject));
    subjects.back().times.resize(std::size(kLengths));
  }
  Random random(3);
  std::vector<std::int32_t> ids;
  for (int i = 0; i < 2048; ++i) ids.push_back(static_cast<std::int32_t>(random.below(1000)));
  for (int round = 0; round < options.rounds; ++round)
    for (std::size_t l = 0; l < std::size(kLengths); ++l)
      for (Subject& subject : subjects) {
        FATHOM_TRY(const double ms, subject.least_ms(ids, kLengths[l]));
        subject.times[l].push_back(ms);
      }
  const ModelSpec& spec = subjects[0].spec;
  Json out = {{"layers", spec.layers},    {"hidden", spec.hidden},    {"heads", spec.heads},    {"ffn", spec.ffn},
              {"window", options.window}, {"rounds", options.rounds}, {"kinds", Json::object()}};
  for (Subject& subject : subjects) {
    Json rows = Json::array();
    for (std::size_t l = 0; l < std::size(kLengths); ++l) {
      std::vector<double>& times = subject.times[l];
      std::sort(times.begin(), times.end());
      rows.push_back({{"tokens", kLengths[l]},
                      {"ms", times.front()},
                      {"median_ms", times[times.size() / 2]},
                      {"macs", full_depth_macs(subject.spec, kLengths[l])}});
    }
    out["kinds"][subject.kind] = rows;
    std::error_code ignored;
    std::filesystem::remove_all(subject.folder, ignored);
  }
  return out;
}

Status run(const Options& options) {
  FATHOM_TRY(const auto runtime, engine::Runtime::create(options.runtime));
  Json out = {{"cpu", cpu_name()}, {"tier", runtime->kernels().name}, {"threads", 1}, {"shapes", Json::object()}};
  for (const std::string shape : {"small", "base"})
    if (options.shapes.find(shape) != std::string::npos) {
      FATHOM_TRY(out["shapes"][shape], measure(shape, options, *runtime));
    }
  std::printf("%s\n", out.dump(1).c_str());
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i], value = argv[i + 1];
    if (flag == "--rounds")
      options.rounds = std::max(1, std::atoi(value.c_str()));
    else if (flag == "--window")
      options.window = std::max(1, std::atoi(value.c_str()));
    else if (flag == "--tier")
      options.runtime.tier = value;
    else if (flag == "--shapes")
      options.shapes = value;
    else
      return 2;
  }
  const Status status = run(options);
  if (!status) std::fprintf(stderr, "%s\n", status.error().message.c_str());
  return status ? 0 : 1;
}
