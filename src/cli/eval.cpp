// `fathom eval BUNDLE`: the systems compared on the bundle's test split; writes eval.json, prints the table.
#include "eval/evaluate.h"

#include <cstdio>

#include "base/log.h"
#include "cli/flags.h"
#include "cli/steps.h"
#include "cli/verbs.h"

namespace fathom::cli {
namespace {

Result<std::vector<eval::Rival>> parse_rivals(const std::vector<std::string>& words) {
  std::vector<eval::Rival> out;
  for (const std::string& word : words) {
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == word.size())
      return Error{Code::usage, "--rival: expected NAME=BUNDLE, got '" + word + "'",
                   "for example --rival student=runs/student"};
    out.push_back({word.substr(0, equals), word.substr(equals + 1)});
  }
  return out;
}

}  // namespace

void add_eval(Frame& frame) {
  struct Options {
    eval::EvalOptions eval;
    engine::RuntimeOptions runtime{"", 1};
    fs::path out;
    std::vector<std::string> rivals;
    bool no_times = false, no_memory = false, json = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* verb = frame.verb("eval", "Compare all systems on the bundle's test split; writes eval.json");
  verb->add_option("bundle", options->eval.bundle, "Bundle folder")->required();
  verb->add_option("--data", options->eval.data, "Data folder; default: the one the bundle was fitted on");
  verb->add_option("--base", options->eval.base,
                   "Bundle of a plainly trained model to compare with; default: the same trunk at full depth");
  verb->add_option("--rival", options->rivals,
                   "NAME=BUNDLE: another model, run at full depth, as one more row; may be given again, and lack exits")
      ->allow_extra_args(false);
  verb->add_option("-o,--out", options->out,
                   "Where to write; default: eval.json beside a folder named bundle, else inside it");
  verb->add_option("--max-test", options->eval.max_test, "Use a sample of so many rows of the test split; 0: all")
      ->check(between(0, 1e9, "[0, 1000000000]"));
  verb->add_option("--at-macs", options->eval.at_macs,
                   "Also the row fathom_at_macs: its threshold set on the calibrate split to these mean MACs per input")
      ->check(between(1, 1e15, "[1, 1e15]"));
  verb->add_option("--timing-seconds", options->eval.timing_seconds, "Rough budget of the timed part")
      ->check(between(1, 86400, "[1, 86400]"))
      ->capture_default_str();
  verb->add_flag("--gates", options->eval.gates,
                 "Also hold the result to what `fathom demo` is held to; exit code 5 if a gate of quality is not met");
  verb->add_flag("--no-times", options->no_times, "Leave milliseconds out");
  verb->add_flag("--no-memory", options->no_memory, "Leave peak memory out");
  add_runtime_flags(verb, options->runtime);
  verb->get_option("--threads")
      ->description("Threads that times are taken with; 0: every core. What is not timed uses every core");
  add_json_flag(verb, options->json);
  frame.on(verb, [options]() -> Result<int> {
    FATHOM_TRY(options->eval.rivals, parse_rivals(options->rivals));
    options->eval.tier = options->runtime.tier;
    options->eval.threads = options->runtime.threads;
    options->eval.times = !options->no_times;
    if (!options->no_memory) options->eval.self = own_program();
    const fs::path out = options->out.empty() ? eval_json_path(options->eval.bundle) : options->out;
    FATHOM_TRY(const Json eval, evaluate_to(options->eval, out));
    std::printf("%s", options->json ? (eval.dump(1) + "\n").c_str() : eval::table_text(eval).c_str());
    say("wrote " + out.string() + "; next: fathom report " + options->eval.bundle.string());
    FATHOM_TRY_VOID(verdict_on(eval));
    return 0;
  });
}

}  // namespace fathom::cli
