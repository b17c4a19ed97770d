// `fathom certify BUNDLE`: proves, on the calibrate split, what the shipped decision costs at most, and sets the
// threshold to the most aggressive one that is proven.
#include <algorithm>
#include <cstdio>
#include <optional>

#include "base/log.h"
#include "bundle/bundle.h"
#include "cli/flags.h"
#include "cli/verbs.h"
#include "eval/certificate_record.h"
#include "eval/certify_bundle.h"
#include "eval/recorded_data.h"

namespace fathom::cli {
namespace {

struct Options {
  fs::path bundle, data, against;
  std::string loss = "consistency", groups = "none";
  std::optional<double> delta, alpha_budget;
  double alpha = 0.05;
  engine::RuntimeOptions runtime;
  bool forecast = false, json = false;
};

constexpr int kGateFailed = 5;

// Which groups are too small to prove delta even if none of their inputs loses.
void print_short_groups(const eval::Certified& got) {
  for (const policy::GroupProof& g : got.certificate.groups)
    if (g.n < got.inputs_needed)
      std::printf(
          "               group '%s' has %zu inputs; at least %zu are needed, and more with every one that loses\n",
          g.name.c_str(), g.n, got.inputs_needed);
}

void print_groups(const eval::Certified& got) {
  if (got.certificate.groups.empty()) return;
  std::printf("groups      by %s, one threshold that each of them proves at level %.3g\n",
              policy::group_by_name(got.by), got.aim.alpha);
  for (const policy::GroupProof& g : got.certificate.groups)
    std::printf("            %s: %zu losses in %zu inputs, p = %.3g\n", g.name.c_str(), g.losses, g.n, g.p_value);
  if (!got.certificate.stopped_by.empty())
    std::printf("            the next threshold was not proven for '%s'\n", got.certificate.stopped_by.c_str());
}

void print_front(const eval::Certified& got) {
  if (got.front.empty()) return;
  std::printf(
      "forecast    what other deltas would save, by the tune split: no proof, and no calibration row is asked\n");
  for (const eval::FrontPoint& point : got.front)
    std::printf("            --delta %-9.3g %5.1f %% of MACs saved\n", point.delta, 100 * point.macs_saved);
}

void print_alpha(const eval::CalibrationAlpha& alpha) {
  std::printf("alpha       %.3g of %.3g spent on these calibration rows (%zu attempt%s), %.3g left\n", alpha.spent,
              alpha.budget, alpha.attempts, alpha.attempts == 1 ? "" : "s", std::max(0.0, alpha.left()));
}

void print(const eval::Certified& got) {
  const policy::Certificate& c = got.certificate;
  const char* words[] = {"answers that differ from full depth", "answers that full depth has right and this has wrong",
                         "net loss of right answers against full depth"};
  if (c.rejected == 0) {
    std::printf("not certified: %zu inputs cannot prove at most %.3g %% of %s%s at level %.3g\n", c.n,
                100 * got.aim.delta, words[static_cast<std::size_t>(got.aim.loss)],
                c.groups.empty() ? "" : " in every group", got.aim.alpha);
    if (c.groups.empty() && c.n < got.inputs_needed)
      std::printf("               at least %zu inputs are needed, and more with every one that loses\n",
                  got.inputs_needed);
    print_short_groups(got);
    return;
  }
  std::printf("certified   %s\n", eval::claim_text(got.record).c_str());
  if (const std::string whose = eval::reference_text(got.record); !whose.empty())
    std::printf("full depth  %s\n", whose.c_str());
  std::printf("lambda      %.6f (the last of %zu thresholds proven in order)\n", static_cast<double>(c.lambda),
              c.rejected);
  std::printf("evidence    %zu losses in %zu calibration inputs, %s %.3g\n", c.losses, c.n,
              c.groups.empty() ? "p =" : "largest p of a group", c.p_value);
  std::printf("mean exit   %.2f, %.1f %% of MACs saved there\n", c.mean_exit, 100 * got.macs_saved);
  print_groups(got);
  print_alpha(got.alpha);
  std::printf("supposes    %s\n", eval::supposition_text(got.record).c_str());
  print_front(got);
}

Json to_json(const eval::Certified& got, bool forecast) {
  const policy::Certificate& c = got.certificate;
  Json out = {{"certified", c.rejected > 0},
              {"loss", policy::loss_name(got.aim.loss)},
              {"delta", got.aim.delta},
              {"alpha", got.aim.alpha},
              {"n", c.n},
              {"inputs_needed", got.inputs_needed}};
  if (!got.front.empty()) {
    out["forecast"] = Json::array();
    for (const eval::FrontPoint& point : got.front)
      out["forecast"].push_back({{"delta", point.delta}, {"lambda", point.lambda}, {"macs_saved", point.macs_saved}});
  }
  if (forecast) return out;
  out.update({{"lambda", c.lambda},
              {"losses", c.losses},
              {"p_value", c.p_value},
              {"mean_exit", c.mean_exit},
              {"macs_saved", got.macs_saved},
              {"alpha_spent", got.alpha.spent},
              {"alpha_budget", got.alpha.budget},
              {"alpha_left", std::max(0.0, got.alpha.left())},
              {"attempts", got.alpha.attempts}});
  if (got.record.is_object()) {
    out["claim"] = eval::claim_text(got.record);
    out["supposes"] = eval::supposition_text(got.record);
    if (const std::string whose = eval::reference_text(got.record); !whose.empty()) out["full_depth"] = whose;
  }
  if (c.groups.empty()) return out;
  out["groups_by"] = policy::group_by_name(got.by);
  out["groups"] = eval::groups_json(c);
  out["stopped_by"] = c.stopped_by;
  return out;
}

// `none`, `class` or `length`, as the flag's check has seen to.
eval::CertifyGroups parse_groups(const std::string& word) {
  return word == "class"    ? eval::CertifyGroups::by_class
         : word == "length" ? eval::CertifyGroups::by_length
                            : eval::CertifyGroups::none;
}

// What to do next, on stderr; the exit code.
int conclude(const Options& options, const eval::Certified& got) {
  if (options.forecast) {
    say("nothing was asked of the calibration rows; choose a delta, then: fathom certify " + options.bundle.string() +
        " --delta D");
    return 0;
  }
  if (got.certificate.rejected == 0) {
    say("threshold and certificate are as they were; allow a larger --delta, or give more calibration rows" +
        std::string(got.certificate.groups.empty() ? "" : ", or no --groups"));
    return kGateFailed;
  }
  say("written into " + options.bundle.string() + "; `fathom info` shows it, and whether it still holds");
  return 0;
}

Result<int> act(const Options& options) {
  eval::CertifyRequest request;
  FATHOM_TRY(request.loss, policy::parse_loss(options.loss));
  request.delta = options.delta;
  request.alpha = options.alpha;
  request.alpha_budget = options.alpha_budget;
  request.by = parse_groups(options.groups);
  request.against = options.against;
  request.forecast = options.forecast;
  FATHOM_TRY(const auto bundle, Bundle::open(options.bundle));
  const std::string where = "bundle '" + options.bundle.string() + "': fathom.json";
  FATHOM_TRY(const auto data, eval::read_eval_data(bundle->fathom(), options.data, where));
  request.seed = data.seed;
  FATHOM_TRY(const auto runtime, engine::Runtime::create(options.runtime));
  constexpr long kSteps = 1000;
  std::optional<Progress> bar;
  bar.emplace("certify", kSteps);
  FATHOM_TRY(
      const auto got,
      eval::certify_bundle(options.bundle, data.dataset, *runtime, request, [&](std::size_t done, std::size_t all) {
        bar->update(kSteps * static_cast<long>(done) / static_cast<long>(std::max<std::size_t>(1, all)));
      }));
  bar.reset();
  if (options.json)
    std::printf("%s\n", to_json(got, options.forecast).dump(2).c_str());
  else if (options.forecast)
    print_front(got);
  else
    print(got);
  return conclude(options, got);
}

}  // namespace

void add_certify(Frame& frame) {
  auto options = std::make_shared<Options>();
  CLI::App* verb =
      frame.verb("certify", "Prove what the decision costs at most, and set its threshold to what is proven");
  verb->add_option("bundle", options->bundle, "Bundle folder")->required();
  verb->add_option("--data", options->data, "Data folder; default: the one the bundle was fitted on");
  verb->add_option("--loss", options->loss, "consistency (no labels needed), harm or drop")
      ->check(CLI::IsMember({"consistency", "harm", "drop"}))
      ->capture_default_str();
  verb->add_option("--delta", options->delta,
                   "Share of inputs that may lose; left out: the smallest that the calibration rows allow, with a "
                   "forecast of what others would save")
      ->check(between(1e-6, 0.999, "[1e-6, 0.999]"));
  verb->add_option("--alpha", options->alpha, "Probability that the proof is wrong")
      ->check(between(1e-9, 0.5, "[1e-9, 0.5]"))
      ->capture_default_str();
  verb->add_option("--alpha-budget", options->alpha_budget,
                   "At the first attempt on these rows: the alphas of all attempts on them together; default: 0.2")
      ->check(between(1e-9, 0.5, "[1e-9, 0.5]"));
  verb->add_option("--groups", options->groups,
                   "Prove it for every class, or every third of the lengths, by one threshold: none, class or length")
      ->check(CLI::IsMember({"none", "class", "length"}))
      ->capture_default_str();
  verb->add_option("--against", options->against,
                   "A bundle whose full-depth answers are compared with, e.g. the fp32 one that an int8 one was made "
                   "from; default: the bundle's own");
  verb->add_flag("--forecast", options->forecast,
                 "Only say what deltas would save, by the tune split: no calibration row is asked, no alpha spent");
  add_runtime_flags(verb, options->runtime);
  add_json_flag(verb, options->json);
  frame.on(verb, [options] { return act(*options); });
}

}  // namespace fathom::cli
