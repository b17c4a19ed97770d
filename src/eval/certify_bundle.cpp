#include "eval/certify_bundle.h"

#include <map>

#include "base/precision.h"
#include "base/sha256.h"
#include "bundle/bundle.h"
#include "eval/calibrate_bundle.h"
#include "eval/systems.h"
#include "model/model.h"
#include "policy/exit_costs.h"

namespace fathom::eval {
namespace {

std::string precision_of(const Json& fathom) { return fathom.value("precision", precision_name(Precision::fp32)); }

Json certificate_json(const Certified& got, const policy::CertificateAim& aim, const Json& fathom,
                      const std::string& data) {
  const policy::Certificate& c = got.certificate;
  Json out = {{"loss", policy::loss_name(aim.loss)},
              {"delta", aim.delta},
              {"alpha", aim.alpha},
              {"lambda", c.lambda},
              {"n", c.n},
              {"losses", c.losses},
              {"p_value", c.p_value},
              {"mean_exit", c.mean_exit},
              {"tested", c.tested},
              {"rejected", c.rejected},
              {"precision", precision_of(fathom)},
              {"data", data},
              {"subject", certified_subject(fathom)}};
  if (c.groups.empty()) return out;
  out["groups_by"] = policy::group_by_name(got.by);
  out["groups"] = groups_json(c);
  return out;
}

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

}  // namespace

Json groups_json(const policy::Certificate& certificate) {
  Json out = Json::array();
  for (const policy::GroupProof& g : certificate.groups)
    out.push_back({{"name", g.name}, {"n", g.n}, {"losses", g.losses}, {"p_value", g.p_value}});
  return out;
}

std::string certified_subject(const Json& fathom) {
  std::map<std::string, std::string> parts;
  if (fathom.contains("files") && fathom["files"].is_object())
    for (const auto& [name, entry] : fathom["files"].items())
      if (entry.is_object()) parts[name] = entry.value("sha256", "");
  Json policy = fathom.value("policy", Json::object());
  policy.erase("lambda");
  Sha256 hash;
  for (const auto& [name, value] : parts) hash.update(name + " " + value + "\n");
  hash.update(fathom.value("model", Json()).dump() + policy.dump() + precision_of(fathom));
  return hash.hex();
}

CertificateState certificate_state(const Json& fathom) {
  if (!fathom.contains("certificate") || !fathom["certificate"].is_object()) return CertificateState::none;
  const Json& certificate = fathom["certificate"];
  const bool same = certificate.value("subject", "") == certified_subject(fathom) && fathom.contains("policy") &&
                    fathom["policy"].value("lambda", Json()) == certificate.value("lambda", Json(-1));
  return same ? CertificateState::valid : CertificateState::voided;
}

Result<Certified> certify_bundle(const std::filesystem::path& folder, const data::Dataset& dataset,
                                 engine::Runtime& runtime, const policy::CertificateAim& aim, CertifyGroups by,
                                 const Tick& tick) {
  FATHOM_TRY(auto bundle, Bundle::open(folder));
  FATHOM_TRY(auto model, Model::load(bundle));
  if (!model->has_decision())
    return Error{Code::unsupported, "bundle '" + folder.string() + "' has no exits: full depth needs no certificate",
                 "make it adaptive with `fathom fit --from`"};
  FATHOM_TRY(auto plan, engine::Plan::compile(model, runtime));
  const policy::Policy& policy = plan->policy();
  if (policy.kind == policy::PolicyKind::gates)
    return Error{Code::unsupported, "the gates of this bundle decide without a threshold",
                 "fit it with the default recipe"};
  FATHOM_TRY(const Encoded tune_inputs, encode_split(dataset, data::Part::tune, model->spec(), folder));
  FATHOM_TRY(const Encoded inputs, encode_split(dataset, data::Part::calibrate, model->spec(), folder));
  const std::size_t all = tune_inputs.count + inputs.count;
  const auto part = [&](std::size_t before) {
    return [&, before](std::size_t done, std::size_t) {
      if (tick) tick(before + done, all);
    };
  };
  FATHOM_TRY(const Traced tune, trace_inputs(plan, runtime, tune_inputs, part(0)));
  FATHOM_TRY(const Traced traced, trace_inputs(plan, runtime, inputs, part(tune_inputs.count)));
  const std::size_t score = static_cast<std::size_t>(policy.score);
  Certified out;
  FATHOM_TRY(const policy::Groups groups, groups_of(by, tune.trace, traced.trace, model->spec()));
  out.by = groups.by;
  FATHOM_TRY(out.certificate, policy::certify(tune.trace, tune.trace.scores[score], traced.trace,
                                              traced.trace.scores[score], policy.first_exit, aim, groups));
  out.inputs_needed = policy::inputs_needed(aim.delta, aim.alpha);
  if (out.certificate.rejected == 0) return out;
  out.macs_saved = saved(traced, model->spec(), policy, out.certificate.lambda);
  Json fathom = bundle->fathom();
  fathom["policy"]["lambda"] = out.certificate.lambda;
  fathom["operating_points"][kFathom] = {{"score", policy::score_name(policy.score)},
                                         {"lambda", out.certificate.lambda},
                                         {"set_to", "certificate"},
                                         {"calibrate_n", out.certificate.n},
                                         {"calibrate_mean_exit", out.certificate.mean_exit}};
  fathom["budget_table"] = make_budget_table(traced, model->spec(), policy);
  fathom["certificate"] = certificate_json(out, aim, fathom, dataset.fingerprint);
  FATHOM_TRY_VOID(update_bundle(folder, fathom));
  return out;
}

}  // namespace fathom::eval
