// fathom_harden FOLDER bundle|checkpoint FLIPS CUTS SEED: single-bit flips, and files cut short, of a folder's files,
// each tried in a process of its own: it must be refused with its file's name, at once and in little memory, or give
// the answers of the whole folder. FLIPS: how many, seeded, over all files by their length, half of them in the first 4
// KiB; CUTS: every CUTS-th length of the first 4 KiB, 0: none. A checkpoint has no checksums: a flip that makes another
// valid checkpoint is counted by itself (`another`), and is no fault. Prints the counts as JSON; exit code 1 where one
// case is wrong, naming it.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "api/checkpoint.h"
#include "api/classifier.h"
#include "api/opened.h"
#include "base/file.h"
#include "base/json.h"
#include "base/quote.h"
#include "base/random.h"
#include "base/sha256.h"

namespace {

using namespace fathom;

constexpr double kMostSeconds = 0.1;  // of CPU
constexpr long kMostKilobytes = 50'000;

Result<std::string> answers(const fs::path& folder, bool checkpoint) {
  engine::RuntimeOptions options;
  options.threads = 1;
  fs::path bundle = folder;
  if (checkpoint) {
    FATHOM_TRY(const auto runtime, engine::Runtime::create(options));
    bundle = folder.string() + ".imported";
    std::error_code ignored;
    fs::remove_all(bundle, ignored);
    FATHOM_TRY(const auto imported, api::import_checkpoint(folder, bundle, *runtime));
  }
  FATHOM_TRY(const auto opened, api::open_bundle(bundle, options));
  FATHOM_TRY(auto classifier, api::Classifier::create(opened, 8));
  const std::vector<std::string> texts = {"the quick brown fox",    "jumps over",    "the lazy dog pack my box",
                                          "the film was very good", "a b c d e f g", "with five dozen jugs"};
  engine::RunOptions adaptive, full;
  full.mode = engine::Mode::full_depth;
  std::string all;
  for (const engine::RunOptions& run : {adaptive, full}) {
    FATHOM_TRY(const auto outcomes, classifier.texts(texts, run));
    for (const api::Outcome& outcome : outcomes) {
      char line[96];
      std::snprintf(line, sizeof line, "%.9g %d|", static_cast<double>(outcome.prediction.confidence),
                    outcome.prediction.depth);
      all += opened->spec().label_names[static_cast<std::size_t>(outcome.prediction.label)] + line;
    }
  }
  return sha256_hex(all);
}

struct Seen {
  std::string text;  // "=" and the answers' hash, or an error's message
  int signal = 0;
  double seconds = 0;
  long kilobytes = 0;
};

Seen in_a_child(const fs::path& folder, bool checkpoint) {
  int ends[2];
  FATHOM_CHECK(::pipe(ends) == 0, "pipe");
  const pid_t child = ::fork();
  FATHOM_CHECK(child >= 0, "fork");
  if (child == 0) {
    ::close(ends[0]);
    const rlimit seconds{20, 20}, memory{std::size_t{4} << 30, std::size_t{4} << 30};
    ::setrlimit(RLIMIT_CPU, &seconds);
    ::setrlimit(RLIMIT_AS, &memory);
    std::string text;
    try {
      const auto got = answers(folder, checkpoint);
      text = got ? "=" + *got : printable_message(got.error().message);
    } catch (const std::exception& problem) {
      text = std::string("!exception ") + problem.what();
    }
    [[maybe_unused]] const auto written = ::write(ends[1], text.data(), text.size());
    ::_exit(0);
  }
  ::close(ends[1]);
  Seen seen;
  char piece[4096];
  for (ssize_t got = 0; (got = ::read(ends[0], piece, sizeof piece)) > 0;)
    seen.text.append(piece, static_cast<std::size_t>(got));
  ::close(ends[0]);
  int status = 0;
  rusage used{};
  ::wait4(child, &status, 0, &used);
  seen.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  seen.seconds = seconds(used.ru_utime) + seconds(used.ru_stime);
  seen.kilobytes = used.ru_maxrss;
  return seen;
}

void put(const fs::path& path, const std::string& bytes) {  // another inode: who has the old one mapped keeps it
  fs::remove(path);
  FILE* file = std::fopen(path.c_str(), "wb");
  FATHOM_CHECK(file != nullptr && std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size(), "write");
  std::fclose(file);
}

class Trial {
 public:
  Trial(fs::path folder, bool checkpoint) : folder_(std::move(folder)), checkpoint_(checkpoint) {
    expected_ = in_a_child(folder_, checkpoint_).text;  // packs as well
    FATHOM_CHECK(expected_.starts_with("="), "the whole folder answers");
    for (const auto& entry : fs::directory_iterator(folder_))
      files_[entry.path().filename().string()] = read_file(entry.path()).value();
  }
  const std::map<std::string, std::string>& files() const { return files_; }

  // `unpacked`: packed weights are not there, so that the weights themselves are read.
  void run(const std::string& name, const std::string& bytes, const std::string& what, bool unpacked) {
    put(folder_ / name, bytes);
    if (unpacked)
      for (const auto& [other, unused] : files_)
        if (other != name && other.starts_with("packed.")) fs::remove(folder_ / other);
    judge(name, what, in_a_child(folder_, checkpoint_));
    put(folder_ / name, files_.at(name));
    for (const auto& [other, whole] : files_) {
      std::error_code ignored;
      if (other.starts_with("packed.") && fs::file_size(folder_ / other, ignored) != whole.size())
        put(folder_ / other, whole);
    }
  }

  int report() const {
    Json json = {{"cases", cases_},
                 {"refused", refused_},
                 {"unchanged", unchanged_},
                 {"another", another_},
                 {"wrong", wrong_},
                 {"most_seconds_refused", most_seconds_},
                 {"most_kb_refused", most_kb_}};
    std::printf("%s\n", json.dump(1).c_str());
    return wrong_ == 0 ? 0 : 1;
  }

 private:
  void judge(const std::string& name, const std::string& what, const Seen& seen) {
    ++cases_;
    std::string fault;
    if (seen.signal != 0) fault = "signal " + std::to_string(seen.signal);
    if (seen.text.starts_with("!")) fault = seen.text;
    if (fault.empty() && seen.text == expected_) {
      ++unchanged_;
    } else if (fault.empty() && seen.text.starts_with("=")) {
      checkpoint_ ? ++another_ : 0;
      if (!checkpoint_) fault = "other answers";
    } else if (fault.empty()) {
      ++refused_;
      most_seconds_ = std::max(most_seconds_, seen.seconds);
      most_kb_ = std::max(most_kb_, seen.kilobytes);
      const bool word_row = name == "model.safetensors" && seen.text.find("of the word table") != std::string::npos;
      if (seen.text.find(name) == std::string::npos && !word_row && seen.text.find("the weights") == std::string::npos)
        ++elsewhere_[name + ": " + seen.text.substr(0, 160)];
      if (seen.seconds > kMostSeconds) fault = std::to_string(seen.seconds) + " s";
      if (seen.kilobytes > kMostKilobytes) fault = std::to_string(seen.kilobytes) + " kB";
    }
    if (fault.empty()) return;
    ++wrong_;
    std::fprintf(stderr, "%s, %s: %s (%s)\n", name.c_str(), what.c_str(), fault.c_str(),
                 seen.text.substr(0, 200).c_str());
  }

 public:
  void print_elsewhere() const {  // refusals whose message names another file than the one that was changed
    for (const auto& [text, count] : elsewhere_) std::fprintf(stderr, "%6d x %s\n", count, text.c_str());
  }

 private:
  fs::path folder_;
  bool checkpoint_;
  std::string expected_;
  std::map<std::string, std::string> files_;
  std::map<std::string, int> elsewhere_;
  int cases_ = 0, refused_ = 0, unchanged_ = 0, another_ = 0, wrong_ = 0;
  double most_seconds_ = 0;
  long most_kb_ = 0;
};

constexpr std::size_t kHead = 4096;

void flip(Trial& trial, int count, std::uint64_t seed) {
  Random random(seed, "harden flips");
  std::vector<std::string> names;
  std::size_t all = 0;
  for (const auto& [name, bytes] : trial.files()) all += bytes.size(), names.push_back(name);
  for (int i = 0; i < count; ++i) {
    std::string name;
    if (i % 2 == 0) {  // any file, its beginning
      do name = names[random.below(names.size())];
      while (trial.files().at(name).empty());
    } else {  // any byte
      std::size_t at = random.below(all);
      for (const auto& [one, bytes] : trial.files()) {
        name = one;
        if (at < bytes.size()) break;
        at -= bytes.size();
      }
    }
    std::string bytes = trial.files().at(name);
    const std::size_t at = random.below(i % 2 == 0 ? std::min(kHead, bytes.size()) : bytes.size());
    const int bit = static_cast<int>(random.below(8));
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << bit));
    trial.run(name, bytes, "bit " + std::to_string(bit) + " of byte " + std::to_string(at), random.below(2) == 0);
  }
}

void cut(Trial& trial, std::size_t every) {
  for (const auto& [name, bytes] : trial.files())
    for (std::size_t size = 0; size < std::min(kHead, bytes.size()); size += every)
      trial.run(name, bytes.substr(0, size), "cut to " + std::to_string(size), false);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) return 2;
  const fs::path work = fs::temp_directory_path() / ("fathom-harden-" + std::to_string(::getpid()));
  fs::remove_all(work);
  fs::copy(argv[1], work, fs::copy_options::recursive);
  Trial trial(work, std::strcmp(argv[2], "checkpoint") == 0);
  flip(trial, std::atoi(argv[3]), std::strtoull(argv[5], nullptr, 10));
  if (std::atoi(argv[4]) > 0) cut(trial, static_cast<std::size_t>(std::atoi(argv[4])));
  trial.print_elsewhere();
  fs::remove_all(work);
  fs::remove_all(work.string() + ".imported");
  return trial.report();
}
