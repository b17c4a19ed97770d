#include "cli/steps.h"

#include <cmath>
#include <cstdio>
#include <memory>

#include "base/log.h"
#include "bundle/bundle.h"
#include "cli/child.h"
#include "eval/calibrate_bundle.h"
#include "eval/certificate_record.h"
#include "eval/eval_json.h"
#include "eval/recorded_data.h"
#include "eval/verdict.h"

namespace fathom::cli {

data::GenerateOptions demo_data(data::Task task) {
  data::GenerateOptions options;
  options.task = task;
  options.train = 115200;
  options.tune = options.calibrate = 8000;
  options.test = 10000;
  return options;
}

fs::path eval_json_path(const fs::path& bundle) {
  const fs::path clean = (bundle / "").lexically_normal().parent_path();
  return clean.filename() == "bundle" ? clean.parent_path() / "eval.json" : bundle / "eval.json";
}

fs::path report_html_path(const fs::path& eval_json) { return eval_json.parent_path() / "report.html"; }

Result<bool> calibrate(const fs::path& folder, const engine::RuntimeOptions& runtime_options, double budget) {
  FATHOM_TRY(const auto bundle, Bundle::open(folder));
  const Json& fathom = bundle->fathom();
  FATHOM_TRY(const auto runtime, engine::Runtime::create(runtime_options));
  FATHOM_TRY(const auto certificate, eval::certificate_status(*bundle, runtime->kernels()));
  // What was proven is better than what is chosen, though it were with another machine's numbers.
  const bool proven = certificate.state == eval::CertificateStatus::State::holds ||
                      certificate.state == eval::CertificateStatus::State::elsewhere;
  const bool has_table = fathom.contains("budget_table");
  if (proven && has_table) return false;
  const bool chosen = proven || eval::recorded_budget(fathom) == budget;
  if (chosen && has_table) return false;
  const std::string where = "bundle '" + folder.string() + "': fathom.json";
  FATHOM_TRY(const auto data, eval::read_eval_data(fathom, {}, where));
  Progress progress("calibrate", static_cast<long>(data.dataset.part(data::Part::calibrate).size()));
  FATHOM_TRY_VOID(eval::calibrate_bundle(
      folder, data.dataset, *runtime, budget,
      [&](std::size_t done, std::size_t) { progress.update(static_cast<long>(done)); }, chosen));
  return true;
}

Result<Json> evaluate_to(const eval::EvalOptions& given, const fs::path& eval_json) {
  eval::EvalOptions options = given;
  std::string stage;
  std::unique_ptr<Progress> progress;
  options.progress = [&](const std::string& name, std::size_t done, std::size_t total) {
    if (name != stage) {
      progress = std::make_unique<Progress>(name, static_cast<long>(total));
      stage = name;
    }
    progress->update(static_cast<long>(done));
  };
  FATHOM_TRY(Json eval, eval::evaluate(options));
  progress.reset();
  FATHOM_TRY_VOID(write_file_atomic(eval_json, eval.dump(1) + "\n"));
  return eval;
}

Status verdict_on(const Json& eval) {
  const std::vector<std::string> failed = eval::failed_gates(eval);
  if (failed.empty()) return {};
  std::string message =
      std::to_string(failed.size()) + (failed.size() == 1 ? " quality gate" : " quality gates") + " not met: ";
  for (std::size_t i = 0; i < failed.size(); ++i) message += (i == 0 ? "" : "; ") + failed[i];
  return Error{Code::quality, message, "everything was written; the table says more"};
}

Status report_to(const Json& eval, const fs::path& html) { return write_file_atomic(html, eval::report_html(eval)); }

Result<Json> read_eval_json(const fs::path& path) {
  FATHOM_TRY(const std::string text, read_file(path, std::uint64_t{1} << 28));
  const std::string where = "'" + path.string() + "'";
  FATHOM_TRY(Json eval, parse_json(text, where));
  FATHOM_TRY_VOID(eval::check_eval_json(eval, where));
  return eval;
}

fs::path own_program() {
  std::error_code failed;
  const fs::path program = fs::read_symlink("/proc/self/exe", failed);
  return failed ? fs::path("fathom") : program;
}

fs::path train_program() { return own_program().parent_path() / "fathom-train"; }

Status need_train_program() {
  std::error_code ignored;
  if (fs::exists(train_program(), ignored)) return {};
  return Error{
      Code::io,
      "fathom-train is not beside this program ('" + train_program().string() + "'), so nothing can be trained",
      "build it: make deps, then make (or cmake with -DFATHOM_TRAIN=ON)"};
}

Result<int> train(const std::vector<std::string>& arguments, double max_disagreement, int threads) {
  std::vector<Child> child(1);
  auto& command = child[0].command;
  char share[32];
  std::snprintf(share, sizeof share, "%.17g", max_disagreement);
  command = {train_program().string(), "--max-disagreement", share};
  if (threads > 0) command.insert(command.end(), {"--threads", std::to_string(threads)});
  command.insert(command.end(), arguments.begin(), arguments.end());
  const Status ran = run_children(child);
  if (child[0].exit_code != 0) return child[0].exit_code < 0 ? Result<int>(ran.error()) : verdict_of(child[0]);
  FATHOM_TRY_VOID(ran);
  return 0;
}

}  // namespace fathom::cli
