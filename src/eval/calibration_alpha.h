// How often the same calibration rows were asked for a proof. Every attempt may be wrong with probability alpha, so
// what was ever proven on some rows holds together with probability 1 - (sum of the alphas): they are added up in
// fathom.json "proofs", compressed bundles carry them on, and at a budget the rows are spent.
//   "proofs": [{"rows": (data/split_use.h), "budget": 0.2, "attempts": [{"aim", "alpha", "proven", ...}]}]
// Rows are known again by their content. An attempt that was made before, aim and subject alike, has the same answer
// and costs nothing. The sum is right for aims that were fixed before their rows were looked at, or listed beforehand
// and tried in turn (docs/adr/0020). Errors: corrupt_bundle, usage, limit. Thread rule: pure functions.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "base/json.h"
#include "data/dataset.h"

namespace fathom::eval {

inline constexpr double kAlphaBudget = 0.2;  // where the first attempt names none

struct CalibrationAlpha {
  double budget = kAlphaBudget;
  double spent = 0;           // by all attempts so far
  std::size_t attempts = 0;   // so many
  bool asked_before = false;  // this very one is among them
  double left() const { return budget - spent; }
};

// What is known of the calibrate rows of `dataset` before an attempt. Error: limit, where alpha is more than what is
// left (not for one that was made before); usage, where `budget` is not the one that these rows were first given.
Result<CalibrationAlpha> alpha_before(const Json& fathom, const data::Dataset& dataset, const std::string& aim,
                                      double alpha, std::optional<double> budget);

// Writes the attempt into fathom.json; `what` adds to {"aim", "alpha"}. Nothing for one that was made before.
void spend_alpha(Json& fathom, const data::Dataset& dataset, const std::string& aim, double alpha, const Json& what,
                 CalibrationAlpha& account);

}  // namespace fathom::eval
