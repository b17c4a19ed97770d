// The steps that verbs share, so that `demo` does exactly what the verbs do one by one.
// Errors: as each step's room; nothing half-written is left behind.
#pragma once

#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/result.h"
#include "data/dataset.h"
#include "engine/engine.h"
#include "eval/evaluate.h"

namespace fathom::cli {

data::GenerateOptions demo_data(data::Task task);  // the demo's sizes, also `generate`'s defaults
Status generate_folder(const fs::path& folder, const data::GenerateOptions& options);

fs::path eval_json_path(const fs::path& bundle);  // <run>/eval.json beside a folder named "bundle", else inside it
fs::path report_html_path(const fs::path& eval_json);

// Chooses the bundle's operating points on the calibrate split of the data it was fitted on. Does nothing and returns
// false when that was done before with this budget.
Result<bool> calibrate(const fs::path& bundle, const engine::RuntimeOptions& runtime, double budget);
// Runs every system, writes eval.json and returns it.
Result<Json> evaluate_to(const eval::EvalOptions& options, const fs::path& eval_json);
// Error: quality, naming the gates that were not met. For the end of a verb, when everything is written.
Status verdict_on(const Json& eval);
Status report_to(const Json& eval, const fs::path& html);
Result<Json> read_eval_json(const fs::path& path);

fs::path own_program();       // this executable
fs::path train_program();     // fathom-train beside it
Status need_train_program();  // error: io, it is not there
// Runs it with these arguments; its exit code. Error: it could not be run.
Result<int> train(const std::vector<std::string>& arguments, double max_disagreement, int threads);

}  // namespace fathom::cli
