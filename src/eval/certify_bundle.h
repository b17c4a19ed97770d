// A certificate on a bundle's shipped decision: traced by the engine that will run it, on the calibrate split; written
// into fathom.json, whose lambda becomes the certified one. What it vouches for is named by a hash of the weights, the
// tokenizer and the decision: any change of them, or of lambda, voids it (`certificate_state`).
// Errors: usage, bad_input; unsupported for gates, which have no threshold. Thread rule: one call at a time on one
// folder.
#pragma once

#include <filesystem>

#include "base/json.h"
#include "data/dataset.h"
#include "engine/engine.h"
#include "eval/trace.h"
#include "policy/certificate.h"

namespace fathom::eval {

enum class CertifyGroups { none, by_class, by_length };

struct Certified {
  policy::Certificate certificate;
  policy::GroupBy by = policy::GroupBy::none;
  std::size_t inputs_needed = 0;  // to prove this delta at all; with groups: in every one of them
  double macs_saved = 0;          // on the calibrate split, the decision included
};

// Writes the bundle only if a threshold was proven (certificate.rejected > 0).
Result<Certified> certify_bundle(const std::filesystem::path& folder, const data::Dataset& dataset,
                                 engine::Runtime& runtime, const policy::CertificateAim& aim,
                                 CertifyGroups by = CertifyGroups::none, const Tick& tick = nullptr);

// "groups" of the certificate: [{name, n, losses, p_value}], as of its threshold.
Json groups_json(const policy::Certificate& certificate);

// What a certificate vouches for: weights, tokenizer, decision without lambda, and the precision they run in.
std::string certified_subject(const Json& fathom);
enum class CertificateState { none, valid, voided };
CertificateState certificate_state(const Json& fathom);

}  // namespace fathom::eval
