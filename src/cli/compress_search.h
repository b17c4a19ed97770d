// `fathom compress --target mb=20` (or ms=5): which steps to take. Candidates are tried from the mildest to the
// strongest, each made whole (in the stage, thresholds chosen anew, on the tune split, for calibrate must not have
// chosen what it later vouches for) and measured on the tune split as the bundle decides: agreement with full depth in
// fp32, milliseconds alone, peak memory of a process of its own. Taken is the one that keeps most answers among those
// that meet the target; after two in a row that meet it and keep fewer, stronger ones are not tried. The trail of all
// that was measured is a file: what it holds is not measured again, so that the same trail gives the same bundle, and
// an interrupted search goes on. Errors: usage (the target, a trail of another bundle), limit (nothing tried meets it:
// the nearest is named), those of the steps.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "cli/compress_choices.h"
#include "cli/compress_stage.h"
#include "engine/engine.h"
#include "eval/inputs.h"
#include "policy/budget.h"

namespace fathom::cli {

struct Search {
  std::filesystem::path bundle, out, trail;
  policy::Budget target;  // ms or mb
  std::string data;       // fingerprint: a trail is of one bundle, its data and this machine's tier
  engine::RuntimeOptions runtime;
  std::function<Status(Stage& stage, const CompressChoices& choices)> make;  // the candidate, in the stage
};

Result<policy::Budget> read_target(const std::string& text);
std::filesystem::path trail_of(const std::filesystem::path& out);  // OUT.trail.json

// inputs: of the tune split. The words of the steps to take.
Result<CompressWords> search(const Search& search, const eval::Encoded& inputs, engine::Runtime& runtime);

}  // namespace fathom::cli
