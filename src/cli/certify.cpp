// `fathom certify BUNDLE`: proves, on the calibrate split, what the shipped decision costs at most, and sets the
// threshold to the most aggressive one that is proven.
#include <cstdio>

#include "base/log.h"
#include "bundle/bundle.h"
#include "cli/flags.h"
#include "cli/verbs.h"
#include "eval/certify_bundle.h"
#include "eval/recorded_data.h"

namespace fathom::cli {
namespace {

struct Options {
  fs::path bundle, data;
  std::string loss = "consistency", groups = "none";
  double delta = 0.01, alpha = 0.05;
  engine::RuntimeOptions runtime;
  bool json = false;
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

void print_groups(const eval::Certified& got, double alpha) {
  if (got.certificate.groups.empty()) return;
  std::printf("groups      by %s, one threshold that each of them proves at level %.3g\n",
              policy::group_by_name(got.by), alpha);
  for (const policy::GroupProof& g : got.certificate.groups)
    std::printf("            %s: %zu losses in %zu inputs, p = %.3g\n", g.name.c_str(), g.losses, g.n, g.p_value);
  if (!got.certificate.stopped_by.empty())
    std::printf("            the next threshold was not proven for '%s'\n", got.certificate.stopped_by.c_str());
}

void print(const eval::Certified& got, const policy::CertificateAim& aim) {
  const policy::Certificate& c = got.certificate;
  const char* words[] = {"answers that differ from full depth", "answers that full depth has right and this has wrong",
                         "net loss of right answers against full depth"};
  const char* what = words[static_cast<std::size_t>(aim.loss)];
  const char* whom = c.groups.empty() ? "" : " in every group";
  if (c.rejected == 0) {
    std::printf("not certified: %zu inputs cannot prove at most %.3g %% of %s%s at level %.3g\n", c.n, 100 * aim.delta,
                what, whom, aim.alpha);
    if (c.groups.empty() && c.n < got.inputs_needed)
      std::printf("               at least %zu inputs are needed, and more with every one that loses\n",
                  got.inputs_needed);
    print_short_groups(got);
    return;
  }
  std::printf("certified   at most %.3g %% of %s%s, with confidence %.3g %%\n", 100 * aim.delta, what, whom,
              100 * (1 - aim.alpha));
  std::printf("lambda      %.6f (the last of %zu thresholds proven in order)\n", static_cast<double>(c.lambda),
              c.rejected);
  std::printf("evidence    %zu losses in %zu calibration inputs, %s %.3g\n", c.losses, c.n,
              c.groups.empty() ? "p =" : "largest p of a group", c.p_value);
  std::printf("mean exit   %.2f, %.1f %% of MACs saved there\n", c.mean_exit, 100 * got.macs_saved);
  print_groups(got, aim.alpha);
}

Json to_json(const eval::Certified& got, const policy::CertificateAim& aim) {
  const policy::Certificate& c = got.certificate;
  Json out = {{"certified", c.rejected > 0},
              {"loss", policy::loss_name(aim.loss)},
              {"delta", aim.delta},
              {"alpha", aim.alpha},
              {"lambda", c.lambda},
              {"n", c.n},
              {"losses", c.losses},
              {"p_value", c.p_value},
              {"mean_exit", c.mean_exit},
              {"macs_saved", got.macs_saved},
              {"inputs_needed", got.inputs_needed}};
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

Result<int> act(const Options& options) {
  policy::CertificateAim aim;
  FATHOM_TRY(aim.loss, policy::parse_loss(options.loss));
  aim.delta = options.delta;
  aim.alpha = options.alpha;
  FATHOM_TRY(const auto bundle, Bundle::open(options.bundle));
  const std::string where = "bundle '" + options.bundle.string() + "': fathom.json";
  FATHOM_TRY(const auto data, eval::read_eval_data(bundle->fathom(), options.data, where));
  aim.seed = data.seed;
  FATHOM_TRY(const auto runtime, engine::Runtime::create(options.runtime));
  const auto& parts = data.dataset;
  Progress bar("certify",
               static_cast<long>(parts.part(data::Part::tune).size() + parts.part(data::Part::calibrate).size()));
  FATHOM_TRY(const auto got,
             eval::certify_bundle(options.bundle, data.dataset, *runtime, aim, parse_groups(options.groups),
                                  [&](std::size_t done, std::size_t) { bar.update(static_cast<long>(done)); }));
  if (options.json)
    std::printf("%s\n", to_json(got, aim).dump(2).c_str());
  else
    print(got, aim);
  if (got.certificate.rejected == 0) {
    say("the bundle is as it was; allow a larger --delta, or give more calibration rows" +
        std::string(got.certificate.groups.empty() ? "" : ", or no --groups"));
    return kGateFailed;
  }
  say("written into " + options.bundle.string() + "; `fathom info` shows it, and whether it still holds");
  return 0;
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
  verb->add_option("--delta", options->delta, "Share of inputs that may lose")
      ->check(between(1e-6, 0.999, "[1e-6, 0.999]"))
      ->capture_default_str();
  verb->add_option("--alpha", options->alpha, "Probability that the proof is wrong")
      ->check(between(1e-9, 0.5, "[1e-9, 0.5]"))
      ->capture_default_str();
  verb->add_option("--groups", options->groups,
                   "Prove it for every class, or every third of the lengths, by one threshold: none, class or length")
      ->check(CLI::IsMember({"none", "class", "length"}))
      ->capture_default_str();
  add_runtime_flags(verb, options->runtime);
  add_json_flag(verb, options->json);
  frame.on(verb, [options] { return act(*options); });
}

}  // namespace fathom::cli
