// A certificate on a bundle's shipped decision: traced by the engine that will run it, on the calibrate split; written
// into fathom.json, whose lambda becomes the certified one. What it speaks of, and when it holds:
// eval/certificate_record.h; how often rows may be asked: eval/calibration_alpha.h.
// The threshold that `fit` chose on calibrate rows does not enter: those that are tried, and their order, come from the
// tune split's scores. Errors: usage, bad_input (rows that the bundle was fitted on), limit (alpha is spent);
// unsupported for gates, which have no threshold. Thread rule: one call at a time on one folder.
#pragma once

#include <filesystem>
#include <optional>

#include "base/json.h"
#include "data/dataset.h"
#include "engine/engine.h"
#include "eval/calibration_alpha.h"
#include "eval/trace.h"
#include "policy/certificate.h"

namespace fathom::eval {

enum class CertifyGroups { none, by_class, by_length };

struct CertifyRequest {
  policy::Loss loss = policy::Loss::consistency;
  std::optional<double> delta;  // none: the smallest that the rows allow
  double alpha = 0.05;
  std::optional<double> alpha_budget;  // none: as these rows were first given, or kAlphaBudget
  std::uint64_t seed = 1;              // of the martingale's order
  CertifyGroups by = CertifyGroups::none;
  std::filesystem::path against;  // a bundle whose full depth answers are compared with; empty: its own
  bool forecast = false;          // only the front: no calibrate row is looked at, nothing is written
};

// What another delta would save, by the same walk over the tune rows: no proof.
struct FrontPoint {
  double delta = 0;
  float lambda = 2;
  double macs_saved = 0;
};

struct Certified {
  policy::Certificate certificate;
  policy::CertificateAim aim;  // delta as it was resolved
  policy::GroupBy by = policy::GroupBy::none;
  std::size_t inputs_needed = 0;  // to prove this delta at all; with groups: in every one of them
  double macs_saved = 0;          // on the calibrate split, the decision included
  CalibrationAlpha alpha;         // after this attempt; as before where no losses of rows could have proven it
  std::vector<FrontPoint> front;  // rising delta; empty where a delta was given
  Json record;                    // as fathom.json has it; null where nothing was proven
};

// Writes the threshold only if one was proven (certificate.rejected > 0), the attempt in any case.
Result<Certified> certify_bundle(const std::filesystem::path& folder, const data::Dataset& dataset,
                                 engine::Runtime& runtime, const CertifyRequest& request, const Tick& tick = nullptr);

// "groups" of the certificate: [{name, n, losses, p_value}], as of its threshold.
Json groups_json(const policy::Certificate& certificate);

}  // namespace fathom::eval
