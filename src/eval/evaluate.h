// `fathom eval`: all systems on one bundle's test split, as one JSON document (docs/formats/eval.md).
// Every decision is made on the calibrate split before the test split is touched; only points of curves see test.
// Thread rule: one call at a time. Errors: bad_input, corrupt_bundle, usage, io from the rooms below.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace fathom::eval {

// Another model in the same contest, run at full depth: a distilled student, say.
struct Rival {
  std::string name;              // of its row: letters, digits, '_', '-', '.'
  std::filesystem::path bundle;  // may be without exits
};

struct EvalOptions {
  std::filesystem::path bundle;
  std::filesystem::path data;  // empty: the folder recorded at fit, whose fingerprint must match
  std::filesystem::path base;  // bundle of the plainly trained model; empty: the same trunk at full depth
  std::vector<Rival> rivals;
  std::filesystem::path self;  // this program, for peak memory in fresh processes; empty: peak_mb is null
  std::string tier;            // "": best
  int threads = 1;
  std::size_t max_test = 0;    // 0: every row of the test split
  double at_macs = 0;          // > 0: also system fathom_at_macs, whose mean MACs on calibrate are at least these
  bool times = true;           // false: ms are null
  double timing_seconds = 40;  // rough budget of the timed part
  bool gates = false;          // also what the demo is held to, met or not
  bool write_costs = true;     // measured times into <bundle>/costs.json
  std::function<void(const std::string& stage, std::size_t done, std::size_t total)> progress;
};

Result<Json> evaluate(const EvalOptions& options);

// Aligned text for a terminal: table, savings, decision overhead, theorem, gates. (table.cpp)
std::string table_text(const Json& eval);

// One self-contained HTML page. (report.cpp)
std::string report_html(const Json& eval);

// Verb `peak`, hidden: see peak.h. Declared here as well because the cli calls it.
int peak_main(const std::vector<std::string>& arguments);

}  // namespace fathom::eval
