// Certificates by Learn-then-Test with a fixed sequence: the most aggressive threshold for which "the loss of what
// ships exceeds delta" is refuted at level alpha on a calibration split, for new inputs exchangeable with it.
//   consistency: the answer differs from full depth's (needs no labels; bounds the drop of accuracy too)
//   harm: full depth is right and the answer is wrong;  drop: the paired difference itself, in {-1, 0, 1}
// p-values: exact binomial P(Bin(n, delta) <= k) for the first two; for the drop a test martingale (betting) whose
// stake was fixed on other rows. Thresholds are ordered, and stakes chosen, on the tune split: before calibration data
// is seen. With groups a threshold is rejected only where every group rejects it at level alpha: an intersection-union
// test, whose level is alpha without any correction (docs/adr/0020). Thread rule: pure functions.
// Source: Angelopoulos et al., Learn then Test; Berger, Multiparameter hypothesis testing and acceptance
// sampling (intersection-union); Waudby-Smith and Ramdas (betting).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "policy/calibrate.h"
#include "policy/certificate_groups.h"

namespace fathom::policy {

enum class Loss { consistency, harm, drop };
const char* loss_name(Loss loss);
Result<Loss> parse_loss(const std::string& name);

struct CertificateAim {
  Loss loss = Loss::consistency;
  double delta = 0.01, alpha = 0.05;  // in (0, 1)
  std::uint64_t seed = 1;             // order in which the martingale sees the rows
};

// What the calibration rows of one group say about one threshold.
struct GroupProof {
  std::string name;
  std::size_t n = 0, losses = 0;
  double p_value = 1;
};

struct Certificate {
  float lambda = 2.0f;     // 2: full depth, which needs no proof
  std::size_t n = 0;       // calibration inputs
  std::size_t losses = 0;  // of them at lambda: disagreements, harms, or (drop) harms minus repairs, at least 0
  double p_value = 1, mean_exit = 0;     // p_value: the largest of the groups'
  std::size_t tested = 0, rejected = 0;  // thresholds looked at, and of these proven
  std::vector<GroupProof> groups;        // at lambda; empty without groups
  std::string stopped_by;  // group with the largest p-value where the walk ended; empty if it went to its end
};

// Fewest inputs that can prove delta at level alpha, namely if none of them loses.
std::size_t inputs_needed(double delta, double alpha);
// The smallest delta that n inputs can prove at level alpha, namely if none of them loses, rounded up to three digits;
// 1 for no inputs. drop: with the stake that `tune` rows without a loss lead to. It depends on numbers of rows alone,
// so it may be asked for without having been fixed before.
double least_delta(Loss loss, std::size_t n, std::size_t tune, double alpha);

// The largest; NaN where one is NaN or there is none, and so above every level.
double largest_p(std::span<const GroupProof> proofs);

// Index of the last rejected hypothesis before the first that is not; nothing if the first is not rejected.
std::optional<std::size_t> fixed_sequence(const std::vector<double>& p_values, double alpha);

// Answers that losses are counted against, one a row; empty: the trace's own full depth, whose loss is always 0.
struct References {
  std::span<const std::int32_t> tune, calibrate;
};

// The scores are of the bundle's shipped score in both traces. Errors: usage (aim out of range), bad_input (labels
// needed).
Result<Certificate> certify(const Trace& tune, std::span<const float> tune_scores, const Trace& calibrate,
                            std::span<const float> calibrate_scores, int first_exit, const CertificateAim& aim,
                            const Groups& groups = {}, const References& references = {});

}  // namespace fathom::policy
