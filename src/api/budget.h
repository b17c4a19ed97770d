// A budget on an opened bundle: the threshold, or the bound on depth, that keeps to it. macs and ms go through
// fathom.json's "budget_table" (what each threshold costs on the calibrate split, written by `fathom fit` and
// `certify`), ms also through costs.json (times measured by `fathom eval`); mb through the sizes of what would run.
// Every input is still decided by itself: a budget of MACs or time is a mean, one of memory is a bound.
// Errors: usage (no setting keeps to it, naming the cheapest), unsupported (nothing to decide; times of another
// machine). Thread rule: reads alone.
#pragma once

#include <optional>
#include <string>

#include "api/classifier.h"
#include "policy/budget.h"

namespace fathom::api {

struct Within {
  engine::RunOptions options;                   // lambda, or max_depth
  std::optional<policy::BudgetPoint> expected;  // macs, ms: on the calibrate split
  std::optional<double> ms, full_ms;            // ms: by the times measured
  double full_macs = 0;                         // macs, ms: mean of the calibrate split at full depth
  double peak_mb = 0;                           // mb: at most, as computed
  std::string note;                             // something the user should know, or empty
};

// `asked` is the user's text, `buffer_bytes` what the session that will run could touch (Classifier::buffer_bytes()).
Result<Within> within_budget(const Opened& opened, const std::string& asked, std::size_t buffer_bytes);

}  // namespace fathom::api
