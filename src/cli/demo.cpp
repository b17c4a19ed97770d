// `fathom demo`: the main job on generated text and pictures: data, both fits side by side, eval and report of each.
// Every step is the verb of that name; a step whose options and inputs did not change is reused.
#include <algorithm>
#include <cstdio>

#include "base/json.h"
#include "base/log.h"
#include "base/sha256.h"
#include "bundle/bundle.h"
#include "cli/child.h"
#include "cli/flags.h"
#include "cli/steps.h"
#include "cli/verbs.h"
#include "cli/words.h"

namespace fathom::cli {
namespace {

constexpr const char* kDemoVersion = "1";  // raise when a step's meaning changes

struct Job {
  std::string name;  // "text" | "image"
  data::Task task = data::Task::text_classification;
  fs::path folder;
  std::vector<std::string> model;  // flags of fit
  data::GenerateOptions rows;
  bool whole_size = true;  // the demo's own: what its gates are meant for

  fs::path data() const { return folder / "data"; }
  fs::path bundle() const { return folder / "bundle"; }
  fs::path eval_json() const { return folder / "eval.json"; }
  fs::path report() const { return folder / "report.html"; }
};

// What each step was made from, in <folder>/steps.json: a step is reused when its key is the same and its output is
// whole.
class Steps {
 public:
  explicit Steps(const Job& job) : path_(job.folder / "steps.json") {
    const auto text = read_file(path_, 1 << 20);
    if (!text) return;
    auto json = parse_json(*text, path_.string());
    if (json && json->is_object()) keys_ = std::move(*json);
  }
  bool done(const char* step, const std::string& key) const {
    const auto found = keys_.find(step);
    return found != keys_.end() && found->is_string() && found->get<std::string>() == key;
  }
  Status mark(const char* step, const std::string& key) {
    keys_[step] = key;
    return write_file_atomic(path_, keys_.dump(2) + "\n");
  }

 private:
  fs::path path_;
  Json keys_ = Json::object();
};

std::string key_of(std::vector<std::string> parts) {
  std::string all = kDemoVersion;
  for (const std::string& part : parts) all += '\0' + part;
  return sha256_hex(all);
}

Job make_job(const std::string& name, const fs::path& out, std::size_t train, std::size_t test) {
  Job job;
  job.name = name;
  job.folder = out / name;
  job.model = {"--layers", "12",       "--hidden", "64",     "--heads", "4",         "--ffn",
               "128",      "--window", "1",        "--norm", "pre",     "--pooling", "cls"};
  if (name == "text") {
    job.model.insert(job.model.end(), {"--max-tokens", "11"});
  } else {
    job.task = data::Task::image_classification;
    job.model.insert(job.model.end(), {"--patch", "8"});
  }
  job.rows = demo_data(job.task);
  job.rows.task = job.task;
  if (train > 0) {
    job.rows.train = train;
    job.rows.tune = job.rows.calibrate = std::max<std::size_t>(train / 8, 256);
  }
  if (test > 0) job.rows.test = test;
  job.whole_size = train == 0 && test == 0;
  return job;
}

std::string generate_key(const Job& job) {
  const auto& rows = job.rows;
  return key_of({"generate", job.name, std::to_string(rows.seed), std::to_string(rows.train), std::to_string(rows.tune),
                 std::to_string(rows.calibrate), std::to_string(rows.test)});
}

std::string fit_key(const Job& job, const std::vector<std::string>& extra) {
  std::vector<std::string> parts = {"fit", generate_key(job)};
  parts.insert(parts.end(), job.model.begin(), job.model.end());
  parts.insert(parts.end(), extra.begin(), extra.end());
  return key_of(parts);
}

// Checksum of a whole, verified bundle, or "".
std::string whole_bundle(const fs::path& folder) {
  const auto bundle = Bundle::open(folder);
  if (!bundle || !(*bundle)->verify()) return "";
  return (*bundle)->checksum();
}

Status generate(const Job& job) {
  std::error_code failed;
  fs::create_directories(job.folder, failed);
  if (failed)
    return Error{Code::io, "'" + job.folder.string() + "': " + failed.message(), "choose a folder that can be written"};
  Steps steps(job);
  const std::string key = generate_key(job);
  if (steps.done("generate", key) && fs::is_directory(job.data(), failed)) {
    say(job.name + ": data reused");
    return {};
  }
  say(job.name + ": writing data");
  fs::remove_all(job.data(), failed);
  FATHOM_TRY_VOID(generate_folder(job.data(), job.rows));
  return steps.mark("generate", key);
}

Result<int> fit(const std::vector<Job>& jobs, const std::vector<std::string>& extra) {
  std::vector<Child> children;
  std::vector<const Job*> fitted;
  for (const Job& job : jobs) {
    Steps steps(job);
    if (steps.done("fit", fit_key(job, extra)) && !whole_bundle(job.bundle()).empty()) {
      say(job.name + ": bundle reused");
      continue;
    }
    Child child;
    child.command = {own_program().string(),
                     "fit",
                     "--data",
                     job.data().string(),
                     "--task",
                     data::task_name(job.task),
                     "--out",
                     job.bundle().string(),
                     "--max-disagreement",  // full depth is nearly always right here, so a disagreement is a loss
                     "0.002",
                     "--threads",
                     "1"};
    child.command.insert(child.command.end(), job.model.begin(), job.model.end());
    child.command.insert(child.command.end(), extra.begin(), extra.end());
    child.prefix = job.name + " | ";
    children.push_back(std::move(child));
    fitted.push_back(&job);
  }
  if (children.empty()) return 0;
  say(children.size() == 1 ? "fitting " + fitted[0]->name : "fitting text and pictures side by side, one thread each");
  const Status ran = run_children(children);
  for (std::size_t i = 0; i < children.size(); ++i) {
    if (children[i].exit_code != 0) continue;
    Steps steps(*fitted[i]);
    FATHOM_TRY_VOID(steps.mark("fit", fit_key(*fitted[i], extra)));
  }
  // The child that failed by itself speaks first: the other one was only interrupted because of it.
  std::stable_sort(children.begin(), children.end(),
                   [](const Child& a, const Child& b) { return a.exit_code != 130 && b.exit_code == 130; });
  for (const Child& child : children)
    if (child.exit_code > 0) return verdict_of(child);
  FATHOM_TRY_VOID(ran);
  return 0;
}

Result<Json> evaluate_job(const Job& job, const engine::RuntimeOptions& runtime, double timing_seconds) {
  Steps steps(job);
  const std::string key =
      key_of({"eval", generate_key(job), whole_bundle(job.bundle()), runtime.tier, std::to_string(runtime.threads),
              std::to_string(timing_seconds), job.whole_size ? "gates" : ""});
  if (steps.done("eval", key)) {
    auto eval = read_eval_json(job.eval_json());
    if (eval) {
      say(job.name + ": eval reused");
      return eval;
    }
  }
  say(job.name + ": comparing all systems");
  eval::EvalOptions options;
  options.bundle = job.bundle();
  options.data = job.data();
  options.self = own_program();
  options.tier = runtime.tier;
  options.threads = runtime.threads;
  options.timing_seconds = timing_seconds;
  options.gates = job.whole_size;
  FATHOM_TRY(Json eval, evaluate_to(options, job.eval_json()));
  FATHOM_TRY_VOID(steps.mark("eval", key));
  return eval;
}

struct Options {
  fs::path out = "runs/demo";
  std::size_t train = 0, test = 0;
  double timing_seconds = eval::EvalOptions{}.timing_seconds;
  engine::RuntimeOptions runtime{"", 1};
  bool json = false;
};

Result<int> act(const Options& options, const std::vector<std::string>& extra) {
  const double begun = seconds_now();
  const std::vector<Job> jobs = {make_job("text", options.out, options.train, options.test),
                                 make_job("image", options.out, options.train, options.test)};
  for (const Job& job : jobs) FATHOM_TRY_VOID(generate(job));
  FATHOM_TRY(const int fitted, fit(jobs, extra));
  if (fitted != 0) return fitted;
  Json all = Json::object();
  for (const Job& job : jobs) {
    FATHOM_TRY(all[job.name], evaluate_job(job, options.runtime, options.timing_seconds));
    FATHOM_TRY_VOID(report_to(all[job.name], job.report()));
  }
  if (options.json) std::printf("%s\n", all.dump(1).c_str());
  for (const Job& job : jobs) {
    if (!options.json) std::printf("\n%s\n%s", job.name.c_str(), eval::table_text(all[job.name]).c_str());
  }
  for (const Job& job : jobs) {
    if (!options.json)
      std::printf("\n%s\n  %s\n  %s\n  %s\n", job.name.c_str(), job.bundle().c_str(), job.eval_json().c_str(),
                  job.report().c_str());
  }
  say("demo done in " + std::to_string(static_cast<int>(seconds_now() - begun)) + " s; try: fathom run " +
      jobs[0].bundle().string());
  for (const Job& job : jobs)
    if (const Status verdict = verdict_on(all[job.name]); !verdict) return verdict.error().within(job.name);
  return 0;
}

}  // namespace

void add_demo(Frame& frame) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = frame.verb("demo", "The main job on generated text and pictures: data, fit, eval, report");
  verb->allow_extras();
  verb->add_option("-o,--out", options->out, "Folder of the runs")->capture_default_str();
  const auto rows = between(0, 10e6, "[0, 10000000]");
  verb->add_option("--train", options->train, "Rows to train on; 0: the demo's size")->check(rows);
  verb->add_option("--test", options->test, "Rows to measure on; 0: the demo's size")->check(rows);
  verb->add_option("--timing-seconds", options->timing_seconds, "Rough budget of each eval's timed part")
      ->check(between(1, 86400, "[1, 86400]"))
      ->capture_default_str();
  add_runtime_flags(verb, options->runtime);
  add_json_flag(verb, options->json);
  verb->footer("\nOther flags go to both fits (`fathom-train --help`).");
  frame.on(verb, [options, verb] { return act(*options, unmarked(verb->remaining())); });
}

}  // namespace fathom::cli
