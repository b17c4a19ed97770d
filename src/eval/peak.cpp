#include "eval/peak.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>

#include "base/file.h"
#include "bundle/bundle.h"
#include "model/model.h"

extern char** environ;

namespace fathom::eval {
namespace {

constexpr char kMagic[4] = {'F', 'T', 'H', 'I'};

void put(std::string& out, const void* data, std::size_t bytes) { out.append(static_cast<const char*>(data), bytes); }

template <class T>
bool take(std::string_view& in, T* to, std::size_t count) {
  if (in.size() / sizeof(T) < count) return false;
  std::memcpy(to, in.data(), count * sizeof(T));
  in.remove_prefix(count * sizeof(T));
  return true;
}

Error damaged(const fs::path& path) {
  return {Code::bad_input, "inputs file '" + path.string() + "' is damaged", "run the evaluation again"};
}

// Peak resident bytes of this address space, or 0 where /proc does not tell.
std::uint64_t own_peak_bytes() {
  std::FILE* file = std::fopen("/proc/self/status", "r");
  if (file == nullptr) return 0;
  char line[256];
  unsigned long long kilobytes = 0;
  while (std::fgets(line, sizeof line, file) != nullptr)
    if (std::sscanf(line, "VmHWM: %llu kB", &kilobytes) == 1) break;
  std::fclose(file);
  return kilobytes * 1024;
}

const char* mode_name(engine::Mode mode) {
  switch (mode) {
    case engine::Mode::adaptive:
      return "adaptive";
    case engine::Mode::fixed_exit:
      return "fixed_exit";
    case engine::Mode::masks:
      return "masks";
    default:
      return "full_depth";
  }
}

engine::Mode mode_of(const std::string& name) {
  if (name == "adaptive") return engine::Mode::adaptive;
  if (name == "fixed_exit") return engine::Mode::fixed_exit;
  if (name == "masks") return engine::Mode::masks;
  return engine::Mode::full_depth;
}

Status run_child(const std::map<std::string, std::string>& flags) {
  const auto flag = [&](const char* name) {
    const auto found = flags.find(name);
    return found == flags.end() ? std::string() : found->second;
  };
  engine::RuntimeOptions runtime_options{flag("--tier"), std::atoi(flag("--threads").c_str()),
                                         std::strtoull(flag("--memory-budget").c_str(), nullptr, 10)};
  FATHOM_TRY(auto runtime, engine::Runtime::create(runtime_options));
  FATHOM_TRY(auto bundle, Bundle::open(flag("--model")));
  FATHOM_TRY(auto model, Model::load(bundle));
  FATHOM_TRY(auto plan, engine::Plan::compile(model, *runtime));
  FATHOM_TRY(const Encoded inputs, read_inputs(flag("--inputs")));
  engine::SessionLimits limits;
  limits.max_batch = 1;
  FATHOM_TRY(auto session, engine::Session::create(plan, *runtime, limits));
  engine::RunOptions options;
  options.mode = mode_of(flag("--mode"));
  options.exit = std::atoi(flag("--exit").c_str());
  options.score = std::atoi(flag("--score").c_str());
  options.lambda = std::strtof(flag("--lambda").c_str(), nullptr);
  const std::uint64_t mask = std::strtoull(flag("--mask").c_str(), nullptr, 10);
  if (options.mode == engine::Mode::masks) options.masks = std::span(&mask, 1);
  std::vector<engine::Prediction> prediction(1);
  std::vector<std::int32_t> offsets;
  for (std::size_t i = 0; i < inputs.count; ++i)
    FATHOM_TRY_VOID(session.run(batch_of(inputs, i, 1, offsets), options, prediction));
  return {};
}

}  // namespace

Status write_inputs(const fs::path& path, const Encoded& inputs) {
  std::string out(kMagic, 4);
  const std::uint64_t head[3] = {inputs.count, inputs.picture_bytes, inputs.ids.size()};
  put(out, head, sizeof head);
  put(out, inputs.offsets.data(), inputs.offsets.size() * sizeof(std::int32_t));
  put(out, inputs.ids.data(), inputs.ids.size() * sizeof(std::int32_t));
  put(out, inputs.pixels.data(), inputs.pixels.size());
  return write_file_atomic(path, out);
}

Result<Encoded> read_inputs(const fs::path& path) {
  const auto bytes = read_file(path);
  if (!bytes) return bytes.error();
  std::string_view in = *bytes;
  std::uint64_t head[3];
  if (in.size() < 4 || std::memcmp(in.data(), kMagic, 4) != 0) return damaged(path);
  in.remove_prefix(4);
  if (!take(in, head, 3) || head[0] == 0 || head[0] > in.size() || head[1] > in.size() || head[2] > in.size())
    return damaged(path);
  Encoded out;
  out.count = head[0];
  out.picture_bytes = head[1];
  if (out.picture_bytes > 0) {
    if (in.size() != out.count * out.picture_bytes) return damaged(path);
    out.pixels.assign(in.begin(), in.end());
    return out;
  }
  out.offsets.resize(out.count + 1);
  out.ids.resize(head[2]);
  if (!take(in, out.offsets.data(), out.offsets.size()) || !take(in, out.ids.data(), out.ids.size()) || !in.empty())
    return damaged(path);
  for (std::size_t i = 0; i < out.count; ++i)
    if (out.offsets[i] < 0 || out.offsets[i + 1] < out.offsets[i]) return damaged(path);
  if (static_cast<std::size_t>(out.offsets.back()) != out.ids.size()) return damaged(path);
  return out;
}

Result<double> measure_peak(const fs::path& self, const PeakRun& run, const fs::path& inputs) {
  char lambda[32];
  std::snprintf(lambda, sizeof lambda, "%.9g", static_cast<double>(run.lambda));
  std::vector<std::string> words = {self.string(),     "peak",
                                    "--model",         run.model.string(),
                                    "--inputs",        inputs.string(),
                                    "--mode",          mode_name(run.mode),
                                    "--exit",          std::to_string(run.exit),
                                    "--score",         std::to_string(run.score),
                                    "--lambda",        lambda,
                                    "--mask",          std::to_string(run.mask),
                                    "--threads",       std::to_string(run.threads),
                                    "--memory-budget", std::to_string(run.memory_budget)};
  if (!run.tier.empty()) words.insert(words.end(), {"--tier", run.tier});
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return Error{Code::io, std::string("pipe: ") + std::strerror(errno), ""};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  pid_t child = 0;
  const int failed = posix_spawn(&child, words[0].c_str(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  std::string answer;
  char buffer[256];
  for (ssize_t got; failed == 0 && (got = read(ends[0], buffer, sizeof buffer)) != 0;) {
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) break;
    answer.append(buffer, static_cast<std::size_t>(got));
  }
  close(ends[0]);
  if (failed != 0) return Error{Code::io, "cannot start '" + words[0] + "': " + std::strerror(failed), ""};
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  const double peak = std::strtod(answer.c_str(), nullptr);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || !(peak > 0))
    return Error{Code::io, "'" + words[0] + " peak' ended with status " + std::to_string(status),
                 "run `fathom doctor`, or leave peak memory out"};
  return peak / 1e6;
}

int peak_main(const std::vector<std::string>& arguments) {
  std::map<std::string, std::string> flags;
  for (std::size_t i = 0; i + 1 < arguments.size(); i += 2) flags[arguments[i]] = arguments[i + 1];
  const Status status = run_child(flags);
  if (!status) {
    std::fprintf(stderr, "FTH-%d: %s\n", static_cast<int>(status.error().code), status.error().message.c_str());
    return static_cast<int>(status.error().code) / 100;
  }
  std::printf("%llu\n", static_cast<unsigned long long>(own_peak_bytes()));
  return 0;
}

}  // namespace fathom::eval
