#include "eval/calibration_alpha.h"

#include <algorithm>
#include <cstdio>

#include "data/split_use.h"

namespace fathom::eval {
namespace {

constexpr const char* kProofs = "proofs";
constexpr double kSlack = 1e-9;  // 4 times 0.05 are 0.2

std::string shown(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

Error unreadable(const std::string& what) {
  return {Code::corrupt_bundle, "fathom.json: proofs: " + what, "fit or copy the bundle again"};
}

// Whether an entry's rows are those of the calibrate split, or a good part of them.
Result<bool> same_rows(const Json& entry, const data::Dataset& dataset) {
  if (!entry.is_object() || !entry.contains("rows") || !entry["rows"].is_object())
    return unreadable("expected objects with rows");
  FATHOM_TRY(const auto used, data::fitted_on(Json{{"split_use", entry["rows"]}}, dataset, data::Part::calibrate));
  return !used.empty();
}

}  // namespace

Result<CalibrationAlpha> alpha_before(const Json& fathom, const data::Dataset& dataset, const std::string& aim,
                                      double alpha, std::optional<double> budget) {
  CalibrationAlpha out;
  out.budget = budget.value_or(kAlphaBudget);
  const auto proofs = fathom.find(kProofs);
  if (proofs != fathom.end()) {
    if (!proofs->is_array()) return unreadable("not a list");
    for (const Json& entry : *proofs) {
      FATHOM_TRY(const bool same, same_rows(entry, dataset));
      if (!same) continue;
      FATHOM_TRY(const double given, json_number(entry, "budget", 0, 1, "fathom.json: proofs"));
      if (budget && *budget != given)
        return Error{Code::usage,
                     "the budget of these calibration rows is " + shown(given) + ", as their first attempt said, not " +
                         shown(*budget),
                     "leave --alpha-budget out, or give rows that were not asked yet: --data FOLDER"};
      out.budget = given;
      if (!entry.contains("attempts") || !entry["attempts"].is_array()) return unreadable("no list of attempts");
      for (const Json& attempt : entry["attempts"]) {
        FATHOM_TRY(const double spent, json_number(attempt, "alpha", 0, 1, "fathom.json: proofs"));
        FATHOM_TRY(const std::string asked, json_string(attempt, "aim", "fathom.json: proofs"));
        out.spent += spent;
        ++out.attempts;
        out.asked_before = out.asked_before || asked == aim;
      }
    }
  }
  if (out.asked_before || alpha <= out.left() + kSlack) return out;
  return Error{Code::limit,
               "alpha " + shown(alpha) +
                   " is more than what is left of these calibration rows: " + std::to_string(out.attempts) +
                   " attempts on them have spent " + shown(out.spent) + " of " + shown(out.budget),
               out.left() > kSlack
                   ? "ask for --alpha " + shown(out.left()) + " or less, or give fresh rows: --data FOLDER"
                   : "give rows that were not asked yet: --data FOLDER with a calibrate file"};
}

void spend_alpha(Json& fathom, const data::Dataset& dataset, const std::string& aim, double alpha, const Json& what,
                 CalibrationAlpha& account) {
  if (account.asked_before) return;
  Json attempt = {{"aim", aim}, {"alpha", alpha}};
  attempt.update(what);
  account.spent += alpha;
  ++account.attempts;
  Json& proofs = fathom[kProofs];
  for (Json& entry : proofs) {
    if (!entry["rows"].contains(dataset.fingerprint)) continue;
    entry["attempts"].push_back(attempt);
    return;
  }
  Json rows = Json::object();
  data::note_split_use(rows, dataset, data::Part::calibrate, {"certificate"});
  proofs.push_back({{"rows", rows}, {"budget", account.budget}, {"attempts", Json::array({attempt})}});
}

}  // namespace fathom::eval
