#include "eval/certify_bundle.h"

#include <algorithm>
#include <cmath>

#include "base/precision.h"
#include "base/sha256.h"
#include "bundle/bundle.h"
#include "data/labels.h"
#include "data/split_use.h"
#include "eval/calibrate_bundle.h"
#include "eval/certificate_record.h"
#include "eval/systems.h"
#include "model/model.h"
#include "policy/exit_costs.h"

namespace fathom::eval {
namespace {

Result<policy::Groups> groups_of(CertifyGroups by, const policy::Trace& tune, const policy::Trace& calibrate,
                                 const ModelSpec& spec) {
  switch (by) {
    case CertifyGroups::by_class:
      return policy::groups_by_class(tune, calibrate, spec.label_names);
    case CertifyGroups::by_length:
      return policy::groups_by_length(tune, calibrate);
    case CertifyGroups::none:
      break;
  }
  return policy::Groups{};
}

double saved(const Traced& traced, const ModelSpec& spec, const policy::Policy& policy, float lambda) {
  policy::ExitCosts costs(spec, policy);
  const double full = mean(simulate_fixed(traced.trace, costs, traced.trace.layers).macs);
  return 1 - mean(simulate_exits(traced, costs, policy.score, lambda, policy.first_exit).macs) / full;
}

// Rows of the smallest group, or all.
std::size_t fewest(const policy::Groups& groups, const std::vector<std::int32_t>& group_of, std::size_t rows) {
  if (groups.names.empty()) return rows;
  std::vector<std::size_t> sizes(groups.names.size(), 0);
  for (const std::int32_t group : group_of) ++sizes[static_cast<std::size_t>(group)];
  return *std::min_element(sizes.begin(), sizes.end());
}

struct Side {  // a bundle, opened and compiled
  std::shared_ptr<const Bundle> bundle;
  std::shared_ptr<const Model> model;
  std::shared_ptr<const engine::Plan> plan;
};

Result<Side> open_side(const std::filesystem::path& folder, engine::Runtime& runtime) {
  Side side;
  FATHOM_TRY(side.bundle, Bundle::open(folder));
  FATHOM_TRY(side.model, Model::load(side.bundle));
  FATHOM_TRY(side.plan, engine::Plan::compile(side.model, runtime));
  return side;
}

// One certificate on its way.
class Prover {
 public:
  Prover(const std::filesystem::path& folder, const data::Dataset& dataset, engine::Runtime& runtime,
         const CertifyRequest& request, const Tick& tick)
      : folder_(folder), dataset_(dataset), runtime_(runtime), request_(request), tick_(tick) {}

  Result<Certified> run() {
    FATHOM_TRY_VOID(open());
    const std::size_t parts = request_.forecast ? 1 : 2;
    FATHOM_TRY(tune_, read(data::Part::tune, 0, parts));
    out_.aim = {request_.loss, request_.delta.value_or(0), request_.alpha, request_.seed};
    if (request_.forecast) return forecast();
    const std::size_t rows = dataset_.part(data::Part::calibrate).size();
    if (request_.delta) out_.inputs_needed = policy::inputs_needed(*request_.delta, request_.alpha);
    out_.certificate.n = rows;
    // No losses of so few rows could prove it: nothing to look at, nothing spent.
    if (request_.by == CertifyGroups::none && request_.delta && rows < out_.inputs_needed) return std::move(out_);
    FATHOM_TRY(out_.alpha, alpha_before(side_.bundle->fathom(), dataset_, aim_, request_.alpha, request_.alpha_budget));
    FATHOM_TRY(calibrate_, read(data::Part::calibrate, 1, parts));
    FATHOM_TRY_VOID(prove());
    return std::move(out_);
  }

 private:
  struct Read {
    Traced traced;
    std::vector<std::int32_t> reference;  // answers of the bundle that is compared with; empty: its own
    std::span<const float> scores(const policy::Policy& policy) const {
      return traced.trace.scores[static_cast<std::size_t>(policy.score)];
    }
  };

  Status open() {
    FATHOM_TRY(side_, open_side(folder_, runtime_));
    if (!side_.model->has_decision())
      return Error{Code::unsupported, "bundle '" + folder_.string() + "' has no exits: full depth needs no certificate",
                   "make it adaptive with `fathom fit --from`"};
    if (policy().kind == policy::PolicyKind::gates)
      return Error{Code::unsupported, "the gates of this bundle decide without a threshold",
                   "fit it with the default recipe"};
    FATHOM_TRY_VOID(check_fresh());
    FATHOM_TRY(subject_, certified_subject(*side_.bundle));
    std::string against;
    if (!request_.against.empty()) {
      FATHOM_TRY(other_, open_side(request_.against, runtime_));
      FATHOM_TRY(classes_, data::classes_by_name(other_->model->spec().label_names, spec().label_names));
      against = other_->bundle->checksum();
    }
    aim_ = sha256_hex(
        Json({subject_, numerics(), policy::loss_name(request_.loss), request_.delta ? Json(*request_.delta) : Json(),
              request_.alpha, static_cast<int>(request_.by), request_.seed, against})
            .dump());
    return {};
  }

  // A proof on rows that something was fitted on speaks of rows that it has seen.
  Status check_fresh() const {
    FATHOM_TRY(const auto fitted, data::fitted_on(side_.bundle->fathom(), dataset_, data::Part::calibrate));
    if (fitted.empty()) return {};
    return Error{Code::bad_input,
                 "the calibrate rows prove nothing about new inputs: the bundle was fitted on them (" +
                     data::fitted_text(fitted) + ")",
                 "give rows that nothing was fitted on: --data FOLDER with a calibrate file; a bundle that an older "
                 "`fathom compress` made is compressed again, from the bundle before"};
  }

  Result<Read> read(data::Part part, std::size_t before, std::size_t parts) const {
    Read out;
    FATHOM_TRY(const Encoded inputs, encode_split(dataset_, part, spec(), folder_));
    const auto tick = [&](std::size_t done, std::size_t all) {
      if (tick_) tick_(before * all + done, parts * all);
    };
    FATHOM_TRY(out.traced, trace_inputs(side_.plan, runtime_, inputs, tick));
    if (!other_) return out;
    FATHOM_TRY(const Encoded theirs, encode_split(dataset_, part, other_->model->spec(), request_.against));
    engine::RunOptions options;
    options.mode = engine::Mode::full_depth;
    FATHOM_TRY(const auto answers, run_inputs(other_->plan, runtime_, theirs, options));
    for (const auto& answer : answers) out.reference.push_back(classes_[static_cast<std::size_t>(answer.label)]);
    return out;
  }

  Result<Certified> forecast() {
    FATHOM_TRY(const auto groups, groups_of(request_.by, tune_.traced.trace, tune_.traced.trace, spec()));
    out_.by = groups.by;
    const std::size_t rows = dataset_.part(data::Part::calibrate).size();
    out_.certificate.n = rows;
    if (!request_.delta)
      out_.aim.delta = policy::least_delta(request_.loss, std::min(rows, fewest(groups, groups.tune, rows)),
                                           tune_.traced.trace.size(), request_.alpha);
    out_.inputs_needed = policy::inputs_needed(out_.aim.delta, request_.alpha);
    FATHOM_TRY(out_.front, front(groups));
    return std::move(out_);
  }

  // What deltas from the aim's on would save: the tune rows in the place of calibration rows.
  Result<std::vector<FrontPoint>> front(const policy::Groups& groups) const {
    constexpr double kSteps[] = {1, 2, 3, 5};
    constexpr std::size_t kPoints = 7;
    constexpr double kLargest = 0.1, kApart = 1.3;
    std::vector<double> deltas = {out_.aim.delta};
    for (double decade = 1e-6; decade < kLargest; decade *= 10)
      for (const double step : kSteps)
        if (const double delta = step * decade;
            delta > kApart * deltas.back() && delta <= kLargest && deltas.size() < kPoints)
          deltas.push_back(delta);
    const policy::Groups own{groups.by, groups.names, groups.tune, groups.tune};
    std::vector<FrontPoint> out;
    for (const double delta : deltas) {
      policy::CertificateAim aim = out_.aim;
      aim.delta = delta;
      FATHOM_TRY(const auto got,
                 policy::certify(tune_.traced.trace, tune_.scores(policy()), tune_.traced.trace, tune_.scores(policy()),
                                 policy().first_exit, aim, own, {tune_.reference, tune_.reference}));
      out.push_back({delta, got.lambda, saved(tune_.traced, spec(), policy(), got.lambda)});
    }
    return out;
  }

  Status prove() {
    const policy::Trace &tune = tune_.traced.trace, &calibrate = calibrate_.traced.trace;
    FATHOM_TRY(const policy::Groups groups, groups_of(request_.by, tune, calibrate, spec()));
    out_.by = groups.by;
    const std::size_t smallest = fewest(groups, groups.calibrate, calibrate.size());
    if (!request_.delta)
      out_.aim.delta =
          policy::least_delta(request_.loss, smallest, fewest(groups, groups.tune, tune.size()), request_.alpha);
    if (out_.aim.delta >= 1)
      return Error{Code::bad_input, "a group has no calibration input: nothing can be proven of it",
                   "give calibration rows of every group, or no --groups"};
    out_.inputs_needed = policy::inputs_needed(out_.aim.delta, request_.alpha);
    FATHOM_TRY(out_.certificate,
               policy::certify(tune, tune_.scores(policy()), calibrate, calibrate_.scores(policy()),
                               policy().first_exit, out_.aim, groups, {tune_.reference, calibrate_.reference}));
    if (!request_.delta) {
      FATHOM_TRY(out_.front, front(groups));
    }
    if (smallest < out_.inputs_needed) return {};  // no losses could have proven it: nothing was learnt
    return write();
  }

  Status write() {
    const policy::Certificate& c = out_.certificate;
    Json fathom = side_.bundle->fathom();
    spend_alpha(fathom, dataset_, aim_, request_.alpha,
                {{"loss", policy::loss_name(request_.loss)},
                 {"delta", out_.aim.delta},
                 {"groups_by", policy::group_by_name(out_.by)},
                 {"proven", c.rejected > 0}},
                out_.alpha);
    if (c.rejected > 0) {
      out_.macs_saved = saved(calibrate_.traced, spec(), policy(), c.lambda);
      fathom["policy"]["lambda"] = c.lambda;
      fathom["operating_points"][kFathom] = {{"score", policy::score_name(policy().score)},
                                             {"lambda", c.lambda},
                                             {"set_to", "certificate"},
                                             {"calibrate_n", c.n},
                                             {"calibrate_mean_exit", c.mean_exit}};
      fathom["budget_table"] = make_budget_table(calibrate_.traced, spec(), policy());
      fathom["certificate"] = out_.record = record(fathom);
    }
    return update_bundle(folder_, fathom);
  }

  Json record(const Json& fathom) const {
    const policy::Certificate& c = out_.certificate;
    Json out = {{"loss", policy::loss_name(request_.loss)},
                {"delta", out_.aim.delta},
                {"alpha", request_.alpha},
                {"spent", out_.alpha.spent},
                {"attempts", out_.alpha.attempts},
                {"lambda", c.lambda},
                {"n", c.n},
                {"losses", c.losses},
                {"p_value", c.p_value},
                {"mean_exit", c.mean_exit},
                {"tested", c.tested},
                {"rejected", c.rejected},
                {"precision", fathom.value("precision", precision_name(Precision::fp32))},
                {"numerics", numerics()},
                {"data", dataset_.fingerprint},
                {"subject", subject_}};
    if (other_) out["against"] = {{"folder", request_.against.string()}, {"checksum", other_->bundle->checksum()}};
    if (!c.groups.empty()) {
      out["groups_by"] = policy::group_by_name(out_.by);
      out["groups"] = groups_json(c);
    }
    seal_certificate(out);
    return out;
  }

  std::string numerics() const { return certified_numerics(side_.bundle->fathom(), runtime_.kernels()); }
  const ModelSpec& spec() const { return side_.model->spec(); }
  const policy::Policy& policy() const { return side_.plan->policy(); }

  const std::filesystem::path& folder_;
  const data::Dataset& dataset_;
  engine::Runtime& runtime_;
  const CertifyRequest& request_;
  const Tick& tick_;
  Side side_;
  std::optional<Side> other_;
  std::vector<std::int32_t> classes_;  // of the other bundle's classes, in this one
  std::string subject_, aim_;
  Read tune_, calibrate_;
  Certified out_;
};

}  // namespace

Json groups_json(const policy::Certificate& certificate) {
  Json out = Json::array();
  for (const policy::GroupProof& g : certificate.groups)
    out.push_back({{"name", g.name}, {"n", g.n}, {"losses", g.losses}, {"p_value", g.p_value}});
  return out;
}

Result<Certified> certify_bundle(const std::filesystem::path& folder, const data::Dataset& dataset,
                                 engine::Runtime& runtime, const CertifyRequest& request, const Tick& tick) {
  const auto inside = [](double value) { return value > 0 && value < 1; };
  if (!inside(request.alpha) || (request.delta && !inside(*request.delta)))
    return Error{Code::usage, "delta and alpha must lie between 0 and 1", "0.01 and 0.05 are usual"};
  return Prover(folder, dataset, runtime, request, tick).run();
}

}  // namespace fathom::eval
