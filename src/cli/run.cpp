// `fathom run BUNDLE [INPUT...]`: predictions, and how deep each input went. Texts, text files (one text a line),
// pictures (JPEG, PNG) or lines of stdin. One line each on stdout; --json: one object a line.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <optional>

#include "api/budget.h"
#include "base/json.h"
#include "base/log.h"
#include "cli/flags.h"
#include "cli/verbs.h"
#include "cli/words.h"
#include "data/line_reader.h"
#include "data/text_lines.h"
#include "eval/bench_bundle.h"
#include "eval/certificate_record.h"

namespace fathom::cli {
namespace {

constexpr std::size_t kBatch = 32;
constexpr const char* kStandardInput = "standard input";

struct Options {
  fs::path bundle;
  std::vector<std::string> inputs, files;
  engine::RuntimeOptions runtime;
  std::optional<std::string> budget;
  double lambda = -1;
  bool full_depth = false, pairs = false, json = false;
};

Json to_json(const api::Outcome& outcome, const ModelSpec& spec, const std::string& input) {
  const engine::Prediction& p = outcome.prediction;
  Json layers = Json::array();
  for (int l = 1; l <= spec.layers; ++l)
    if ((p.trajectory >> (l - 1) & 1) != 0) layers.push_back(l);
  Json json = {{"input", input},
               {"label", spec.label_names[static_cast<std::size_t>(p.label)]},
               {"confidence", p.confidence},
               {"raw_confidence", p.raw_confidence},
               {"depth", p.depth},
               {"layers", spec.layers},
               {"trajectory", layers},
               {"macs", p.macs},
               {"decision_macs", p.decision_macs},
               {"full_macs", outcome.full_macs},
               {"share_of_full", outcome.full_macs > 0 ? p.macs / outcome.full_macs : 0.0}};
  if (outcome.cut) json["cut"] = true;
  return json;
}

class Printer {
 public:
  // `certificate`: what every answer in JSON says of it; empty: nothing.
  Printer(const ModelSpec& spec, bool json, std::string certificate)
      : spec_(spec), json_(json), certificate_(std::move(certificate)) {
    for (const std::string& name : spec.label_names)
      width_ = std::max(width_, static_cast<int>(one_line(name, 24).size()));
  }
  // `where`: what an error calls this input.
  void print(const api::Outcome& outcome, const std::string& input, const std::string& where) {
    const engine::Prediction& p = outcome.prediction;
    if (p.no_answer > 0) return print_error(engine::no_answer(p, where + " '" + one_line(input, 48) + "'"), input);
    if (json_) {
      Json json = to_json(outcome, spec_, input);
      if (!certificate_.empty()) json["certificate"] = certificate_;
      std::printf("%s\n", json.dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
    } else {
      std::printf("%-*s  %5.1f %%  %s  %2d of %d layers  %9s  %5.1f %% of full  %s\n", width_,
                  one_line(spec_.label_names[static_cast<std::size_t>(p.label)], 24).c_str(),
                  100.0 * static_cast<double>(p.confidence), trajectory_text(p.trajectory, spec_.layers).c_str(),
                  p.depth, spec_.layers, macs_text(p.macs).c_str(),
                  outcome.full_macs > 0 ? 100.0 * p.macs / outcome.full_macs : 0.0, one_line(input, 48).c_str());
    }
    cut_ += outcome.cut;
    depth_ += p.depth;
    macs_ += p.macs;
    full_ += outcome.full_macs;
    ++count_;
  }
  // Told with the others; the first one also ends the program, when all are printed.
  void print_error(const Error& error, const std::string& input) {
    if (json_) {
      const Json line = {{"input", input},
                         {"error", {{"code", static_cast<int>(error.code)}, {"message", error.message}}}};
      std::printf("%s\n", line.dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
    } else if (unanswered_ > 0) {
      warn(error.message);
    }
    if (unanswered_++ == 0) first_error_ = error;
  }
  Status close() const {
    if (cut_ > 0)
      warn(std::to_string(cut_) + " texts were longer than the model's " + std::to_string(spec_.max_tokens) +
           " tokens and were cut");
    if (count_ > 1) {
      char line[160];
      std::snprintf(line, sizeof line, "%zu inputs, mean depth %.2f of %d, %.1f %% of full depth's MACs", count_,
                    depth_ / static_cast<double>(count_), spec_.layers, full_ > 0 ? 100.0 * macs_ / full_ : 0.0);
      say(line);
    }
    if (unanswered_ == 0) return {};
    Error error = first_error_;
    if (unanswered_ > 1) error.message += "; so with " + std::to_string(unanswered_ - 1) + " more";
    return error;
  }

 private:
  const ModelSpec& spec_;
  std::size_t unanswered_ = 0;
  Error first_error_;
  bool json_;
  std::string certificate_;
  int width_ = 4;
  std::size_t count_ = 0, cut_ = 0;
  double depth_ = 0, macs_ = 0, full_ = 0;
};

class Runner {
 public:
  Runner(const api::Opened& opened, api::Classifier& classifier, const engine::RunOptions& options, Printer& printer,
         bool pairs)
      : opened_(opened), classifier_(classifier), options_(options), printer_(printer), pairs_(pairs) {}

  // `first`: the number of the first text where it came from, for errors.
  Status texts(const std::vector<std::string>& texts, const std::string& where, std::size_t first) {
    std::vector<api::TextPair> pairs;
    for (std::size_t i = 0; pairs_ && i < texts.size(); ++i) {
      FATHOM_TRY(auto pair, data::split_pair(texts[i], where + " " + std::to_string(first + i)));
      pairs.push_back({std::move(pair.first), std::move(pair.second)});
    }
    FATHOM_TRY(const auto outcomes, pairs_ ? classifier_.pairs(pairs, options_) : classifier_.texts(texts, options_));
    for (std::size_t i = 0; i < texts.size(); ++i)
      printer_.print(outcomes[i], texts[i], where + " " + std::to_string(first + i));
    return {};
  }

  // Lines in batches as they come; from a terminal or a slow pipe each batch is what has arrived.
  Status lines(data::LineReader reader, bool eager) {
    const std::string& where = reader.where();
    std::vector<std::string> waiting;
    std::size_t number = 0;
    for (;;) {
      FATHOM_TRY(auto line, reader.next());
      if (!line) break;
      ++number;
      waiting.push_back(std::move(*line));
      if (waiting.size() < kBatch && !eager) continue;
      FATHOM_TRY_VOID(texts(waiting, where + ", line", number + 1 - waiting.size()));
      std::fflush(stdout);
      waiting.clear();
    }
    if (number == 0)
      return Error{Code::bad_input, where + " holds no line",
                   "give texts as arguments, with --file, or one a line on stdin"};
    return waiting.empty() ? Status{} : texts(waiting, where + ", line", number + 1 - waiting.size());
  }

  Status pictures(const std::vector<std::string>& paths) {
    for (std::size_t begin = 0; begin < paths.size(); begin += kBatch) {
      const std::size_t end = std::min(paths.size(), begin + kBatch);
      std::vector<api::FittedPicture> batch;  // never more than one picture as it lies in its file
      for (std::size_t i = begin; i < end; ++i) {
        FATHOM_TRY(const auto picture, data::read_picture(paths[i]));
        FATHOM_TRY(auto fitted, api::fit_picture(opened_, picture));
        batch.push_back(std::move(fitted));
      }
      FATHOM_TRY(const auto outcomes, classifier_.pictures(batch, options_));
      for (std::size_t i = 0; i < batch.size(); ++i) printer_.print(outcomes[i], paths[begin + i], "picture");
    }
    return {};
  }

 private:
  const api::Opened& opened_;
  api::Classifier& classifier_;
  const engine::RunOptions& options_;
  Printer& printer_;
  bool pairs_;
};

Status run_text_files(Runner& runner, const std::vector<std::string>& files) {
  for (const std::string& file : files) {
    FATHOM_TRY(auto reader, data::LineReader::open(file));
    FATHOM_TRY_VOID(runner.lines(std::move(reader), false));
  }
  return {};
}

// Paths named on stdin, for picture bundles.
Result<std::vector<std::string>> stdin_lines() {
  std::vector<std::string> lines;
  data::LineReader reader(STDIN_FILENO, kStandardInput);
  for (;;) {
    FATHOM_TRY(auto line, reader.next());
    if (!line) return lines;
    if (!line->empty()) lines.push_back(std::move(*line));
  }
}

std::string percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %%", 100 * share);
  return text;
}

// What the budget became, and what to expect of it.
void tell(const std::string& asked, const api::Within& within, const api::Opened& opened) {
  std::string line = "budget " + asked + ": ";
  if (within.peak_mb > 0) {
    char text[128];
    const int depth = within.options.max_depth > 0 ? within.options.max_depth : opened.spec().layers;
    std::snprintf(text, sizeof text, "at most %d of %d layers, inputs one at a time, peak memory about %.1f MB at most",
                  depth, opened.spec().layers, within.peak_mb);
    line += text;
  } else {
    const policy::BudgetPoint& point = *within.expected;
    char text[160];
    std::snprintf(text, sizeof text, "lambda %.6g", static_cast<double>(point.lambda));
    line += point.lambda > 1 ? std::string("full depth") : std::string(text);
    std::snprintf(
        text, sizeof text,
        "; on the calibrate split: %s an input, %s of full depth, mean depth %.2f, %.2f %% agree with full depth",
        macs_text(point.macs).c_str(), percent(point.macs / within.full_macs).c_str(), point.depth,
        100 * point.agreement);
    line += text;
    if (within.ms) {
      std::snprintf(text, sizeof text, "; %.3g ms, full depth %.3g ms", *within.ms, *within.full_ms);
      line += text;
    }
  }
  say(line);
  if (!within.note.empty()) warn(within.note);
}

// Says once whether the bundle's certificate covers this run, and what it then claims and supposes. Returns the word
// for every answer's "certificate" in JSON; empty where there is none, or nothing is decided that it could speak of.
Result<std::string> tell_certificate(const api::Opened& opened, const engine::RunOptions& run) {
  using State = eval::CertificateStatus::State;
  FATHOM_TRY(const auto status, eval::certificate_status(opened.bundle(), opened.runtime->kernels()));
  if (status.state == State::none || run.mode == engine::Mode::full_depth) return std::string();
  if (status.state != State::holds) {
    warn("the bundle's certificate " +
         (status.state == State::elsewhere ? "is " + std::string(status.word()) : std::string(status.word())) + ": " +
         status.why + "; " + status.restore);
    return std::string(status.word());
  }
  // It speaks of its own threshold alone: at another one, more cautious or not, nothing has been proven. Full depth
  // needs no proof against itself.
  const Json& certificate = opened.bundle().fathom()["certificate"];
  const bool own = (run.lambda < 0 || run.lambda == opened.plan->policy().lambda) && run.max_depth == 0;
  const bool full = run.lambda > 1 && run.max_depth == 0 && !certificate.contains("against");
  if (!own && !full) {
    warn("the bundle's certificate does not cover this run: it was proven for lambda " +
         Json(opened.plan->policy().lambda).dump() + " alone");
    return std::string("does not cover this run");
  }
  if (own) say("certified: " + eval::claim_text(certificate) + ", if " + eval::supposition_text(certificate));
  return std::string(status.word());
}

Result<int> act(const Options& options) {
  FATHOM_TRY(const auto opened, api::open_bundle(options.bundle, options.runtime));
  // A bound on memory is kept one input at a time: a batch's buffers are its own.
  const bool alone = options.budget && options.budget->starts_with("mb=");
  FATHOM_TRY(auto classifier, api::Classifier::create(opened, alone ? 1 : kBatch));
  engine::RunOptions run;
  if (options.budget) {
    FATHOM_TRY(const api::Within within, api::within_budget(*opened, *options.budget, classifier.buffer_bytes()));
    run = within.options;
    tell(*options.budget, within, *opened);
  }
  if (options.full_depth) run.mode = engine::Mode::full_depth;
  if (options.lambda >= 0) run.lambda = static_cast<float>(options.lambda);
  FATHOM_TRY(const std::string certificate, tell_certificate(*opened, run));
  Printer printer(opened->spec(), options.json, certificate);
  Runner runner(*opened, classifier, run, printer, options.pairs || opened->pairs.value_or(false));
  const bool from_stdin = options.inputs.empty() && options.files.empty();
  const bool terminal = ::isatty(STDIN_FILENO) == 1;
  if (from_stdin && terminal) say("reading one input a line; end with ctrl-D");
  if (opened->tokenizer) {
    if (from_stdin) FATHOM_TRY_VOID(runner.lines(data::LineReader(STDIN_FILENO, kStandardInput), terminal));
    if (!options.inputs.empty()) FATHOM_TRY_VOID(runner.texts(options.inputs, "input", 1));
    FATHOM_TRY_VOID(run_text_files(runner, options.files));
  } else {
    if (options.pairs)
      return Error{Code::invalid_argument, "this bundle reads pictures, --pairs is for texts", "leave it out"};
    std::vector<std::string> paths = options.inputs;
    if (from_stdin) {
      FATHOM_TRY(paths, stdin_lines());
    }
    paths.insert(paths.end(), options.files.begin(), options.files.end());
    if (paths.empty())
      return Error{Code::bad_input, "no picture was named",
                   "give JPEG or PNG files as arguments, with --file, or one path a line on stdin"};
    FATHOM_TRY_VOID(runner.pictures(paths));
  }
  const Status all_answered = printer.close();
  if (options.runtime.memory_budget > 0) say(memory_text(eval::memory_json(classifier.residency())));
  if (!all_answered) return all_answered.error();
  return 0;
}

}  // namespace

void add_run(Frame& frame) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = frame.verb("run", "Predict for text, files or stdin, and show the depth each input got");
  verb->footer(
      "Confidences of a fitted bundle are calibrated: the logits are divided by a temperature, at full depth too.\n"
      "--json also gives raw_confidence, that of the logits as they are. A text that begins with '-' goes after '--'.");
  verb->add_option("bundle", options->bundle, "Bundle folder")->required();
  verb->add_option("input", options->inputs, "Texts, or picture files for an image bundle; none: lines of stdin");
  verb->add_option("--file", options->files, "Text file (one text a line) or picture (JPEG, PNG)");
  verb->add_flag("--pairs", options->pairs,
                 "Each text is a pair, FIRST<TAB>SECOND; a bundle fitted with --pairs knows it by itself");
  auto* lambda = verb->add_option("--lambda", options->lambda,
                                  "Stop when the score reaches this; above 1: never early. Default: the bundle's")
                     ->check(between(0, 2, "[0, 2]"));
  auto* full = verb->add_flag("--full-depth", options->full_depth, "Every layer, no decision")->excludes(lambda);
  verb->add_option("--budget", options->budget,
                   "Choose the threshold for a mean cost: macs=50% of full depth, macs=3e8 an input, ms=8 an input "
                   "(times of `fathom eval`); "
                   "or mb=400: layers that fit that peak memory")
      ->excludes(lambda)
      ->excludes(full);
  add_runtime_flags(verb, options->runtime);
  add_memory_flag(verb, options->runtime);
  add_json_flag(verb, options->json);
  frame.on(verb, [options] { return act(*options); });
}

}  // namespace fathom::cli
