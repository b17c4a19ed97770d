#include "policy/certificate.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/random.h"
#include "policy/theory.h"

namespace fathom::policy {
namespace {

constexpr std::size_t kThresholds = 200;
constexpr const char* kLosses[] = {"consistency", "harm", "drop"};

struct Rows {
  const Trace& trace;
  std::span<const float> scores;
  std::span<const std::int32_t> reference;  // empty: full depth's answers
};

// Loss of every row at a threshold: 0 or 1; drop: -1, 0, 1.
std::vector<int> losses_at(const Rows& rows, int first_exit, float lambda, Loss loss) {
  const Trace& trace = rows.trace;
  const auto exits = exits_at(rows.scores, trace.layers, lambda, first_exit);
  const std::size_t layers = static_cast<std::size_t>(trace.layers);
  std::vector<int> out;
  for (std::size_t i = 0; i < exits.size(); ++i) {
    const std::int32_t answer = trace.predictions[i * layers + static_cast<std::size_t>(exits[i]) - 1];
    const std::int32_t full = rows.reference.empty() ? trace.predictions[i * layers + layers - 1] : rows.reference[i];
    if (loss == Loss::consistency) {
      out.push_back(answer != full ? 1 : 0);
      continue;
    }
    const int drop = (full == trace.labels[i] ? 1 : 0) - (answer == trace.labels[i] ? 1 : 0);
    out.push_back(loss == Loss::harm ? std::max(0, drop) : drop);
  }
  return out;
}

// The stake in [0, 1/(1 + delta)) that would have grown most on these rows: sum of log(1 + eta (delta - z)) is concave.
double best_stake(const std::vector<int>& tune, double delta) {
  double counts[3] = {};  // z = -1, 0, 1
  for (const int z : tune) counts[z + 1] += 1;
  // A class of outcome that tune happens not to show must not look impossible.
  for (double& count : counts) count += 0.5;
  double best = 0, most = 0;
  for (int step = 1; step < 200; ++step) {
    const double eta = step / 200.0 / (1.0 - delta);
    double growth = 0;
    for (int z = -1; z <= 1; ++z) growth += counts[z + 1] * std::log1p(eta * (delta - z));
    if (growth > most) most = growth, best = eta;
  }
  return best;
}

// Ville: under "mean loss > delta" the capital is a supermartingale, so its maximum passes 1/p with probability <= p.
double betting_p_value(const std::vector<int>& rows, double delta, double eta) {
  double log_capital = 0, most = 0;
  for (const int z : rows) {
    log_capital += std::log1p(eta * (delta - z));
    most = std::max(most, log_capital);
  }
  return std::exp(-most);
}

std::size_t positive_sum(const std::vector<int>& losses) {
  return static_cast<std::size_t>(std::max(0, std::accumulate(losses.begin(), losses.end(), 0)));
}

// p-values of every group at a threshold; what does not depend on the threshold is prepared once.
class Evidence {
 public:
  Evidence(Rows tune, Rows calibrate, int first_exit, const CertificateAim& aim, const Groups& groups)
      : tune_(tune),
        calibrate_(calibrate),
        first_exit_(first_exit),
        aim_(aim),
        groups_(groups),
        members_(std::max<std::size_t>(1, groups.names.size())),
        tune_members_(members_.size()) {
    std::vector<std::size_t> order(calibrate.trace.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    Random(aim.seed, "certificate").shuffle(order);
    for (const std::size_t i : order) members_[group(groups.calibrate, i)].push_back(i);
    for (std::size_t i = 0; i < tune.trace.size(); ++i) tune_members_[group(groups.tune, i)].push_back(i);
  }

  std::vector<GroupProof> at(float lambda) const {
    const auto rows = losses_at(calibrate_, first_exit_, lambda, aim_.loss);
    std::vector<int> tune;
    if (aim_.loss == Loss::drop) tune = losses_at(tune_, first_exit_, lambda, aim_.loss);
    std::vector<GroupProof> out;
    for (std::size_t g = 0; g < members_.size(); ++g) {
      const std::vector<int> own = of(rows, members_[g]);
      GroupProof proof{groups_.names.empty() ? "" : groups_.names[g], own.size(), positive_sum(own), 1};
      proof.p_value = aim_.loss == Loss::drop
                          ? betting_p_value(own, aim_.delta, best_stake(of(tune, tune_members_[g]), aim_.delta))
                          : binomial_tail(proof.n, proof.losses, aim_.delta);
      out.push_back(proof);
    }
    return out;
  }

 private:
  static std::size_t group(const std::vector<std::int32_t>& of_row, std::size_t i) {
    return of_row.empty() ? 0 : static_cast<std::size_t>(of_row[i]);
  }
  static std::vector<int> of(const std::vector<int>& rows, const std::vector<std::size_t>& members) {
    std::vector<int> out;
    for (const std::size_t i : members) out.push_back(rows[i]);
    return out;
  }

  Rows tune_, calibrate_;
  int first_exit_;
  const CertificateAim& aim_;
  const Groups& groups_;
  std::vector<std::vector<std::size_t>> members_, tune_members_;  // calibration rows in the martingale's order
};

bool sound(double p) { return p >= 0 && p <= 1; }

// The first that cannot be compared, else the first of the largest.
const GroupProof& worst_of(std::span<const GroupProof> proofs) {
  const GroupProof* worst = &proofs.front();
  for (const GroupProof& proof : proofs) {
    if (!sound(proof.p_value)) return proof;
    if (proof.p_value > worst->p_value) worst = &proof;
  }
  return *worst;
}

Status check(const Trace& calibrate, const CertificateAim& aim) {
  const auto inside = [](double value) { return value > 0 && value < 1; };
  if (!inside(aim.delta))
    return Error{Code::usage, "delta must lie between 0 and 1, got " + std::to_string(aim.delta), "0.01 is one point"};
  if (!inside(aim.alpha))
    return Error{Code::usage, "alpha must lie between 0 and 1, got " + std::to_string(aim.alpha), "0.05 is usual"};
  if (aim.loss != Loss::consistency && calibrate.labels.size() != calibrate.size())
    return Error{Code::bad_input, std::string("loss '") + loss_name(aim.loss) + "' needs labels",
                 "use the loss consistency, which needs none"};
  return {};
}

}  // namespace

const char* loss_name(Loss loss) { return kLosses[static_cast<std::size_t>(loss)]; }

Result<Loss> parse_loss(const std::string& name) {
  for (std::size_t i = 0; i < std::size(kLosses); ++i)
    if (name == kLosses[i]) return static_cast<Loss>(i);
  return Error{Code::usage, "loss '" + name + "' is not known", "consistency, harm or drop"};
}

std::size_t inputs_needed(double delta, double alpha) {
  return static_cast<std::size_t>(std::ceil(std::log(alpha) / std::log1p(-delta)));
}

double least_delta(Loss loss, std::size_t n, std::size_t tune, double alpha) {
  if (n == 0) return 1;
  const double rows = static_cast<double>(n);
  const auto proves = [&](double delta) {
    if (loss != Loss::drop) return rows * std::log1p(-delta) <= std::log(alpha);
    return rows * std::log1p(delta * best_stake(std::vector<int>(tune, 0), delta)) >= -std::log(alpha);
  };
  double low = 0, high = 1;
  for (int halving = 0; halving < 60; ++halving) (proves(0.5 * (low + high)) ? high : low) = 0.5 * (low + high);
  const double digit = std::pow(10.0, std::floor(std::log10(high)) - 2);
  return std::min(1.0, std::ceil(high / digit * (1 - 1e-12)) * digit);
}

double largest_p(std::span<const GroupProof> proofs) {
  const double worst = proofs.empty() ? 2 : worst_of(proofs).p_value;
  return sound(worst) ? worst : std::numeric_limits<double>::quiet_NaN();
}

std::optional<std::size_t> fixed_sequence(const std::vector<double>& p_values, double alpha) {
  std::optional<std::size_t> last;
  for (std::size_t i = 0; i < p_values.size() && p_values[i] <= alpha; ++i) last = i;
  return last;
}

Result<Certificate> certify(const Trace& tune, std::span<const float> tune_scores, const Trace& calibrate,
                            std::span<const float> calibrate_scores, int first_exit, const CertificateAim& aim,
                            const Groups& groups, const References& references) {
  FATHOM_TRY_VOID(check(calibrate, aim));
  const Rows rows{calibrate, calibrate_scores, references.calibrate};
  const Evidence evidence({tune, tune_scores, references.tune}, rows, first_exit, aim, groups);
  const auto thresholds = candidate_thresholds(tune_scores, kThresholds);  // descending, full depth first
  Certificate out;
  out.n = calibrate.size();
  out.mean_exit = calibrate.layers;
  std::vector<double> p_values;
  std::vector<std::vector<GroupProof>> proofs;
  for (const float lambda : thresholds) {
    proofs.push_back(evidence.at(lambda));
    p_values.push_back(largest_p(proofs.back()));
    ++out.tested;
    if (p_values.back() <= aim.alpha) continue;
    out.stopped_by = worst_of(proofs.back()).name;
    break;
  }
  const auto last = fixed_sequence(p_values, aim.alpha);
  if (!groups.names.empty() && !proofs.empty()) out.groups = proofs[last.value_or(0)];
  if (!last) return out;
  out.lambda = thresholds[*last];
  out.p_value = p_values[*last];
  out.rejected = *last + 1;
  out.losses = positive_sum(losses_at(rows, first_exit, out.lambda, aim.loss));
  const auto exits = exits_at(calibrate_scores, calibrate.layers, out.lambda, first_exit);
  out.mean_exit =
      std::accumulate(exits.begin(), exits.end(), 0.0) / static_cast<double>(std::max<std::size_t>(1, exits.size()));
  return out;
}

}  // namespace fathom::policy
