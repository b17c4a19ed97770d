#include "train/decision.h"

#include <algorithm>

#include "base/log.h"
#include "policy/calibrate.h"
#include "policy/paired_saving.h"
#include "train/adamw.h"
#include "train/extractor.h"
#include "train/fusion.h"
#include "train/policy_net.h"
#include "train/ppo.h"
#include "train/predictor.h"

namespace fathom::train {

using policy::Score;
using torch::Tensor;

Tensor stable_depths(const Tensor& logits) {
  const auto labels = logits.argmax(2).to(torch::kInt).contiguous();
  const auto depth = policy::stable_depth({labels.data_ptr<std::int32_t>(), static_cast<std::size_t>(labels.numel())},
                                          static_cast<int>(logits.size(1)));
  return torch::tensor(std::vector<std::int64_t>(depth.begin(), depth.end()));
}

namespace {

constexpr int kMostEpochs = 60;
// By how much of full depth's MACs the fused score must beat confidence to ship. The ledger flatters it: extractor,
// trees and LSTM are small dependent steps, and on a 12x64 model they took 22 % of full-depth time for 1 % of its MACs.
constexpr double kFusedMargin = 0.01;

int enough_epochs(int asked, std::int64_t rows, int batch, int least_steps) {
  const std::int64_t steps = std::max<std::int64_t>(1, (rows + batch - 1) / batch);
  return std::max(asked, static_cast<int>(std::min<std::int64_t>(kMostEpochs, least_steps / steps)));
}

constexpr Score kScores[] = {Score::confidence, Score::predictor, Score::policy, Score::fused};

// Everything the stage carries from step to step; indices are folds, the last entry of each list is the final model.
struct Stage {
  Stage(const DecisionInput& rows, const DecisionOptions& how) : tune(rows), options(how) {}
  const DecisionInput& tune;
  const DecisionOptions& options;
  std::int64_t n = 0;
  Tensor depth, fold;               // [n]
  std::vector<Tensor> train, held;  // rows of each fold
  std::vector<float> temperature;
  Tensor signals;  // [n, exits, 6]
  std::vector<std::shared_ptr<Extractor>> extractors;
  std::vector<Tensor> features, starts;  // [n, F], [n, 2 c2 + 1] by each fold's extractor
  std::vector<std::shared_ptr<PolicyNet>> nets;
  TreeSettings trees;
  std::unique_ptr<Booster> booster;
  Tensor survival, stop_logits;  // [n, exits], out of fold
  DecisionResult result;
  double clock = seconds_now();

  void timed(const char* name) {
    const double now = seconds_now();
    result.facts["seconds"][name] = now - clock;
    clock = now;
  }
};

Status check(const DecisionInput& tune, const DecisionOptions& options) {
  const auto& spec = tune.spec;
  const std::int64_t n = tune.labels.size(0);
  const bool fits = tune.h0.dim() == 3 && tune.h0.size(0) == n && tune.h0.size(2) == spec.hidden &&
                    tune.lengths.size(0) == n && tune.logits.dim() == 3 && tune.logits.size(0) == n &&
                    tune.logits.size(1) == spec.layers && tune.logits.size(2) == spec.classes();
  if (!fits) return Error{Code::internal, "decision: shapes of the tune rows do not fit the model", ""};
  const std::int64_t least = least_tune_rows(options);
  if (n < least) {
    return Error{Code::bad_input,
                 "decision: " + std::to_string(n) + " tune rows, at least " + std::to_string(least) + " are needed",
                 "give more data, or a larger tune share"};
  }
  if (spec.layers < 2) return Error{Code::bad_input, "decision: a model of one layer has no exit to choose", ""};
  return {};
}

void prepare(Stage& stage) {
  const auto& o = stage.options;
  stage.n = stage.tune.labels.size(0);
  stage.depth = stable_depths(stage.tune.logits);
  const auto order = shuffled(stage.n, o.seed, "decision.folds", 0);
  stage.fold = torch::empty({stage.n}, torch::kLong);
  for (std::size_t i = 0; i < order.size(); ++i)
    stage.fold.data_ptr<std::int64_t>()[order[i]] = static_cast<std::int64_t>(i) % o.folds;
  for (int k = 0; k < o.folds; ++k) {
    stage.train.push_back((stage.fold != k).nonzero().squeeze(1));
    stage.held.push_back((stage.fold == k).nonzero().squeeze(1));
  }
  stage.train.push_back(torch::arange(stage.n));  // the final models see every row
  stage.held.push_back(torch::empty({0}, torch::kLong));
  stage.temperature = fit_temperatures(stage.tune.logits, stage.tune.labels);
  stage.signals = all_signals(stage.tune.logits, stage.temperature);
  auto& facts = stage.result.facts;
  facts["rows"] = stage.n;
  facts["mean_stable_depth"] = stage.depth.to(torch::kDouble).mean().item<double>();
  facts["temperature"] = stage.temperature;
  stage.timed("prepare");
}

void fit_extractors(Stage& stage) {
  const auto& spec = stage.tune.spec;
  const ExtractorData data{stage.tune.h0, stage.tune.lengths, stage.depth,
                           stage.tune.logits.select(1, spec.layers - 1).contiguous()};
  ExtractorSettings settings;
  settings.seed = stage.options.seed;
  settings.epochs =
      enough_epochs(stage.options.extractor_epochs, stage.train[0].size(0), settings.batch, stage.options.least_steps);
  Json losses = Json::array();
  int epochs = 0;  // the first fold finds how many, the others follow
  for (std::size_t k = 0; k < stage.train.size(); ++k) {
    settings.keep_best = k == 0;
    const auto fit = fit_extractor(spec, data, stage.train[k], stage.held[k], settings, epochs);
    if (k == 0) epochs = fit.epochs;
    if (stage.held[k].numel() > 0) losses.push_back(fit.held_loss);
    stage.extractors.push_back(fit.extractor);
    const auto extracted = extract(spec, *fit.extractor, stage.tune.h0, stage.tune.lengths);
    stage.features.push_back(extracted.features);
    stage.starts.push_back(extracted.policy_input);
    stage.result.facts["extractor"] = {{"epochs", epochs}, {"held_loss", losses}, {"distill_loss", fit.distill_loss}};
  }
  stage.timed("extractor");
}

// Regression on l_opt as a survival curve, exactly as policy::survival reads it.
Tensor survival_of_level(const Tensor& level, int layers) {
  return torch::sigmoid(2 * (level.unsqueeze(1) - torch::arange(1, layers).to(torch::kDouble).unsqueeze(0)));
}

Status fit_predictor(Stage& stage) {
  const auto& spec = stage.tune.spec;
  const auto kind = stage.options.predictor;
  const std::vector<Tensor> folds(stage.features.begin(), stage.features.end() - 1);
  FATHOM_TRY(auto search, search_predictor(spec, folds, stage.fold, stage.depth, kind, stage.options.seed));
  const bool survival = kind == policy::PredictorKind::survival;
  stage.survival = survival ? search.out_of_fold : survival_of_level(search.out_of_fold, spec.layers);
  const auto& all = stage.features.back();
  const auto table = survival ? survival_table(all, stage.depth, spec.layers)
                              : Booster::Table{all.contiguous(), stage.depth.to(torch::kFloat).contiguous()};
  FATHOM_TRY(stage.booster, Booster::train(table, search.best, kind, stage.options.seed));
  FATHOM_TRY(stage.result.predictor_text, stage.booster->text(search.best.trees));
  FATHOM_TRY(auto trees, policy::Trees::parse(stage.result.predictor_text, "predictor.txt"));
  stage.result.policy.predictor = std::move(trees);
  stage.result.policy.predictor_kind = kind;
  auto& facts = stage.result.facts["predictor"];
  facts = predictor_quality(stage.survival, stage.depth);
  facts["kind"] = survival ? "survival" : "huber";
  facts["trees"] = stage.result.policy.predictor->tree_count();
  facts["mean_path"] = stage.result.policy.predictor->mean_path();
  facts["search"] = search.table;
  stage.timed("predictor");
  return {};
}

Tensor stop_logits_of(const PolicyNet& net, const Tensor& start, const Tensor& signals) {
  torch::NoGradGuard no_grad;
  return net.forward(start, closed_inputs(signals)).logits.select(2, 0);
}

ExitWorld world_of(const Stage& stage, const Tensor& start) {
  const auto& t = stage.tune;
  const std::int64_t exits = t.spec.layers - 1;
  const auto predictions = t.logits.argmax(2), last = predictions.narrow(1, exits, 1),
             early = predictions.narrow(1, 0, exits);
  const auto label = t.labels.unsqueeze(1);
  const auto log_p = torch::log_softmax(t.logits, 2), log_last = log_p.narrow(1, exits, 1);
  return {start, closed_inputs(stage.signals), (early == last).to(torch::kFloat),
          ((last == label) & (early != label)).to(torch::kFloat),
          (torch::exp(log_last) * (log_last - log_p.narrow(1, 0, exits))).sum(2)};
}

// Evidence of some rows only.
Evidence rows_of(const Evidence& evidence, const Tensor& rows) {
  Evidence out;
  out.layers = evidence.layers;
  out.predictions = evidence.predictions.index_select(0, rows);
  out.full_macs = evidence.full_macs.index_select(0, rows);
  for (int s = 0; s < 4; ++s) out.macs[s] = evidence.macs[s].index_select(0, rows);
  return out;
}

// By how much the score `other` saves more than `one` at the bundle's own budget of disagreement, with its interval.
// What is new ships where the interval's lower end passes a margin: one rule for PPO over the clone and fused over
// confidence.
policy::Interval gain_of(const Stage& stage, const Evidence& evidence, const std::pair<Tensor, Score>& one,
                         const std::pair<Tensor, Score>& other) {
  const auto predictions = evidence.predictions.to(torch::kInt).contiguous();
  const auto full = evidence.full_macs.contiguous();
  const auto first = one.first.to(torch::kFloat).contiguous(), second = other.first.to(torch::kFloat).contiguous();
  const auto first_macs = evidence.macs[static_cast<int>(one.second)].contiguous(),
             second_macs = evidence.macs[static_cast<int>(other.second)].contiguous();
  const auto floats = [](const Tensor& t) {
    return std::span<const float>(t.data_ptr<float>(), static_cast<std::size_t>(t.numel()));
  };
  const auto doubles = [](const Tensor& t) {
    return std::span<const double>(t.data_ptr<double>(), static_cast<std::size_t>(t.numel()));
  };
  return policy::paired_saving({predictions.data_ptr<std::int32_t>(), static_cast<std::size_t>(predictions.numel())},
                               evidence.layers, doubles(full), {floats(first), doubles(first_macs)},
                               {floats(second), doubles(second_macs)}, stage.options.budget, stage.options.seed);
}

Json gain_to_json(const policy::Interval& gain, double margin) {
  return {{"more_saved", gain.mean}, {"interval", {gain.low, gain.high}}, {"margin", margin}};
}

// PPO on the first fold's training rows; kept only if it saves more than the cloned policy on the rows held out, beyond
// what their number leaves to chance.
bool ppo_helps(Stage& stage, const Evidence& evidence, PpoSettings& settings, double shift) {
  const auto& held = stage.held[0];
  const auto part = rows_of(evidence, held);
  const auto scores = [&](const PolicyNet& net) {
    return torch::sigmoid(
        stop_logits_of(net, stage.starts[0].index_select(0, held), stage.signals.index_select(0, held)));
  };
  const auto cloned = scores(*stage.nets[0]);
  const auto weights = FlatParameters(stage.nets[0]->parameters()).values().clone();
  stage.nets[0]->add_to_stop_bias(-shift);
  const auto facts = ppo_exits(*stage.nets[0], world_of(stage, stage.starts[0]), stage.train[0], settings);
  const auto tuned = scores(*stage.nets[0]);
  const policy::Interval gain = gain_of(stage, part, {cloned, Score::policy}, {tuned, Score::policy});
  const bool better = gain.low > 0;
  stage.result.facts["policy"]["ppo"] = {{"kept", better},
                                         {"first_return", facts.first_return},
                                         {"last_return", facts.last_return},
                                         {"mean_depth", facts.last_depth},
                                         {"price", facts.price},
                                         {"held_out", gain_to_json(gain, 0)}};
  settings.price = facts.price;
  if (!better) {
    torch::NoGradGuard no_grad;
    auto values = FlatParameters(stage.nets[0]->parameters()).values();
    values.copy_(weights);
  }
  return better;
}

void fit_policy(Stage& stage, const Evidence& evidence) {
  const auto& o = stage.options;
  CloneSettings clone;
  clone.seed = o.seed;
  clone.epochs = enough_epochs(o.clone_epochs, stage.train[0].size(0), clone.batch, o.least_steps);
  for (std::size_t k = 0; k < stage.train.size(); ++k) {
    stage.nets.push_back(
        clone_policy(stage.tune.spec, stage.starts[k], stage.signals, stage.depth, stage.train[k], clone));
  }
  stage.timed("clone");
  stage.stop_logits = torch::empty({stage.n, stage.tune.spec.layers - 1});
  const auto out_of_fold = [&] {
    for (std::size_t k = 0; k + 1 < stage.nets.size(); ++k) {
      const auto& rows = stage.held[k];
      const auto q =
          stop_logits_of(*stage.nets[k], stage.starts[k].index_select(0, rows), stage.signals.index_select(0, rows));
      stage.stop_logits.index_copy_(0, rows, q);
    }
  };
  out_of_fold();
  const Point point = point_at_budget(evidence, torch::sigmoid(stage.stop_logits), Score::policy, o.budget);
  stage.result.facts["policy"]["clone"] = point_to_json(point);
  if (o.ppo_rounds > 0 && point.lambda < 1) {
    PpoSettings settings;
    settings.seed = o.seed;
    settings.rounds = o.ppo_rounds;
    settings.target_depth = point.mean_exit / stage.tune.spec.layers;
    const double shift = std::log(point.lambda / (1 - point.lambda));
    if (ppo_helps(stage, evidence, settings, shift)) {
      for (std::size_t k = 1; k < stage.nets.size(); ++k) {
        stage.nets[k]->add_to_stop_bias(-shift);
        ppo_exits(*stage.nets[k], world_of(stage, stage.starts[k]), stage.train[k], settings);
      }
      out_of_fold();
    }
  }
  stage.timed("ppo");
}

void fit_scores(Stage& stage, const Evidence& evidence) {
  const auto exits = torch::arange(1, stage.tune.spec.layers).unsqueeze(0);
  const auto target = (stage.depth.unsqueeze(1) <= exits).to(torch::kDouble);
  const auto inputs = fusion_inputs(stage.signals, stage.survival, stage.stop_logits);
  auto fused = torch::empty_like(target);
  for (int k = 0; k < stage.options.folds; ++k) {
    const auto index = static_cast<std::size_t>(k);
    const auto fusion =
        fit_fusion(inputs.index_select(0, stage.train[index]), target.index_select(0, stage.train[index]));
    fused.index_copy_(0, stage.held[index], fused_logits(fusion, inputs.index_select(0, stage.held[index])));
  }
  auto& policy = stage.result.policy;
  policy.temperature = stage.temperature;
  policy.fusion = fit_fusion(inputs, target);
  const auto confidence = torch::sigmoid(stage.signals.select(2, 0));
  const Tensor scores[] = {confidence, 1 - stage.survival, torch::sigmoid(stage.stop_logits), torch::sigmoid(fused)};
  Json table;
  double saved[4] = {};
  for (const Score score : kScores) {
    const auto s = static_cast<std::size_t>(score);
    Json rows = Json::array();
    for (const double budget : {0.003, 0.005, 0.01}) {
      Json row = point_to_json(point_at_budget(evidence, scores[s], score, budget));
      row["budget"] = budget;
      rows.push_back(row);
    }
    table[policy::score_name(score)] = rows;
    saved[s] = point_at_budget(evidence, scores[s], score, stage.options.budget).saved;
  }
  const policy::Interval gain =
      gain_of(stage, evidence, {confidence, Score::confidence}, {torch::sigmoid(fused), Score::fused});
  policy.score = gain.low > kFusedMargin ? Score::fused : Score::confidence;
  auto& facts = stage.result.facts;
  facts["scores"] = table;
  facts["fusion"] = {{"weights", policy.fusion.weights}, {"bias", policy.fusion.bias}};
  facts["shipped"] = {{"score", policy::score_name(policy.score)},
                      {"budget", stage.options.budget},
                      {"fused_saved", saved[static_cast<int>(Score::fused)]},
                      {"confidence_saved", saved[static_cast<int>(Score::confidence)]},
                      {"fused_over_confidence", gain_to_json(gain, kFusedMargin)}};
  stage.timed("fusion");
}

}  // namespace

Result<DecisionResult> train_decision(const DecisionInput& tune, const DecisionOptions& options) {
  FATHOM_TRY_VOID(check(tune, options));
  Stage stage(tune, options);
  prepare(stage);
  fit_extractors(stage);
  FATHOM_TRY_VOID(fit_predictor(stage));
  const auto evidence = evidence_of(tune.spec, stage.result.policy, tune.logits, tune.lengths);
  fit_policy(stage, evidence);
  fit_scores(stage, evidence);
  auto& policy = stage.result.policy;
  policy.kind = policy::PolicyKind::exits;
  policy.first_exit = 1;
  stage.result.tensors = stage.extractors.back()->named_weights();
  stage.result.tensors.merge(stage.nets.back()->named_weights());
  return std::move(stage.result);
}

}  // namespace fathom::train
