// Chooses a bundle's operating points on the calibrate split, through the engine, and writes them into fathom.json.
// Runs after training and before anything reads the test split. Label-free: the most aggressive threshold whose
// answers differ from full depth on at most `budget` of the calibrate inputs (docs/formats/bundle.md).
#pragma once

#include <filesystem>
#include <optional>

#include "base/json.h"
#include "data/dataset.h"
#include "engine/engine.h"
#include "eval/systems.h"
#include "eval/trace.h"

namespace fathom::eval {

// A system's threshold rule: which score, compared with what.
struct OperatingPoint {
  policy::Score score = policy::Score::confidence;
  float lambda = 2.0f;
};

inline constexpr const char* kFathom = "fathom";
inline constexpr const char* kEarlyExit = "early_exit";
inline constexpr const char* kPredictorOnly = "predictor_only";
inline constexpr const char* kPolicyOnly = "policy_only";

// The "operating_points" object for a trace of the calibrate split. Systems whose score has no parts are left out.
Json choose_operating_points(const policy::Trace& calibrate, const policy::Policy& policy, double budget);

// The "budget_table" object: what thresholds of the bundle's own score cost and agree with on the calibrate split,
// about evenly spread over the MACs between full depth and stopping at once. null for gates, which have no threshold.
Json make_budget_table(const Traced& calibrate, const ModelSpec& spec, const policy::Policy& policy);

// "operating_points".<system> of fathom.json. Errors: corrupt_bundle when it is not there or out of range.
Result<OperatingPoint> read_operating_point(const Json& fathom, const std::string& system, const std::string& where);

// The budget that the bundle's own operating point was chosen with; none where there is no such point.
std::optional<double> recorded_budget(const Json& fathom);

// Budget: a fraction in [0, 1]. keep_points: only the budget table is written. `part`: another split than calibrate,
// for a bundle that is a candidate only. Errors: usage, and everything reading and running can say.
Status calibrate_bundle(const std::filesystem::path& folder, const data::Dataset& dataset, engine::Runtime& runtime,
                        double budget, const Tick& tick = nullptr, bool keep_points = false,
                        data::Part part = data::Part::calibrate);

}  // namespace fathom::eval
