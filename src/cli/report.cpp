// `fathom report BUNDLE|EVAL.JSON`: one self-contained HTML page from what `fathom eval` wrote.
#include <cstdio>

#include "cli/flags.h"
#include "cli/steps.h"
#include "cli/verbs.h"

namespace fathom::cli {

void add_report(Frame& frame) {
  struct Options {
    fs::path from, out;
    bool json = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* verb = frame.verb("report", "Write one self-contained HTML page from eval.json");
  verb->add_option("bundle", options->from, "Bundle folder, or an eval.json")->required();
  verb->add_option("-o,--out", options->out, "Where to write; default: report.html beside eval.json");
  add_json_flag(verb, options->json);
  frame.on(verb, [options]() -> Result<int> {
    std::error_code ignored;
    const bool folder = fs::is_directory(options->from, ignored);
    if (!folder && !fs::exists(options->from, ignored)) {
      return Error{Code::io, "'" + options->from.string() + "' is not there", "give a bundle folder or an eval.json"};
    }
    const fs::path json_path = folder ? eval_json_path(options->from) : options->from;
    if (!fs::exists(json_path, ignored)) {
      return Error{Code::bad_input, "'" + json_path.string() + "' is not there yet",
                   "fathom eval " + options->from.string()};
    }
    FATHOM_TRY(const Json eval, read_eval_json(json_path));
    const fs::path out = options->out.empty() ? report_html_path(json_path) : options->out;
    FATHOM_TRY_VOID(report_to(eval, out));
    if (options->json) {
      std::printf("%s\n", Json{{"report", out.string()}}.dump().c_str());
    } else {
      std::printf("%s\n", out.c_str());
    }
    return 0;
  });
}

}  // namespace fathom::cli
