#include "train/paper_recipe.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>

#include "base/log.h"
#include "base/random.h"
#include "train/adamw.h"
#include "train/extractor.h"
#include "train/fusion.h"
#include "train/policy_net.h"
#include "train/ppo.h"
#include "train/predictor.h"
#include "train/scratch_learner.h"
#include "train/trunk.h"

namespace fathom::train {

using torch::Tensor;

Tensor runs_of(const Tensor& skip_logits) {
  auto runs = skip_logits < 0;
  const auto none = runs.any(1).logical_not();
  runs.select(1, 0).logical_or_(none);
  return runs;
}

Tensor gated_logits(Backbone& backbone, const Heads& heads, const Encoded& batch, const Tensor& h0,
                    const Tensor& runs) {
  const auto lengths = backbone.attention_mask(batch);
  auto h = h0;
  const int layers = backbone.spec().layers;
  for (int l = 0; l < layers; ++l) {
    const auto rows = runs.select(1, l).nonzero().squeeze(1);
    if (rows.size(0) == 0) continue;
    if (rows.size(0) == h.size(0)) {
      h = backbone.layer(l, h, lengths);
    } else {
      h = h.index_copy(0, rows, backbone.layer(l, h.index_select(0, rows), lengths.index_select(0, rows)));
    }
  }
  return heads.logits(layers, backbone.pooled(h, batch));
}

PaperRun paper_run(const Prepared& prepared, const FitOptions& options) {
  PaperRun run{prepared.part(data::Part::train), prepared.part(data::Part::tune)};
  if (options.batch) run.batch = *options.batch;
  if (options.rate) run.rate = *options.rate;
  run.steps = std::max<std::int64_t>(1, prepared.schedule.steps * prepared.schedule.batch / run.batch);
  run.seed = options.seed;
  run.progress = options.progress;
  return run;
}

namespace {

constexpr int kHalvedEvery = 10;  // epochs
constexpr double kBeta1 = 0.0, kBeta2 = 0.999, kTrunkClip = 1.0;

}  // namespace

Json schedule_of(const PaperRun& run) {
  return {{"steps", run.steps}, {"batch", run.batch}, {"lr", run.rate},     {"lr_halved_every_epochs", kHalvedEvery},
          {"beta1", kBeta1},    {"beta2", kBeta2},    {"clip", kTrunkClip}, {"dropout", 0.0}};
}

namespace {

constexpr std::int64_t kPredictorRows = 3000, kRolloutRows = 512, kTuneRows = 2000;
constexpr int kPatience = 9;  // epochs without a better gated pass on tune: three cycles of the algorithm

struct World {  // what the controller sees of some rows, and their first state
  Tensor h0, start, features;
};

class PaperTraining {
 public:
  PaperTraining(Backbone& backbone, Heads& heads, const PaperRun& run)
      : backbone_(backbone),
        heads_(heads),
        run_(run),
        spec_(backbone.spec()),
        extractor_(std::make_shared<Extractor>(spec_, 0.1, run.seed)),
        net_(spec_, {}, run.seed),
        trunk_(trunk_parameters()),
        control_(control_parameters()),
        trunk_adam_(trunk_, kBeta1, kBeta2),
        control_adam_(control_, kBeta1, kBeta2) {
    const std::int64_t n = run.train.size(), pass = std::max<std::int64_t>(1, n / run.batch);
    epoch_steps_ = std::max<std::int64_t>(1, std::min(pass, run.steps / 30));
    epochs_ = (run.steps + epoch_steps_ - 1) / epoch_steps_;
    tune_ = run.tune.sample(kTuneRows);
    best_ = snapshot();
  }

  Result<DecisionResult> train(const Checkpoints& checkpoints, Metrics& metrics) {
    FATHOM_TRY(const auto before, checkpoints.load("paper"));
    if (before) {
      FATHOM_TRY_VOID(restore(*before));
      FATHOM_TRY_VOID(metrics.rewind("paper", static_cast<long>(epoch_)));
    }
    std::unique_ptr<Progress> bar;
    if (run_.progress) bar = std::make_unique<Progress>("paper", static_cast<long>(epochs_));
    while (epoch_ < epochs_ && epoch_ - best_epoch_ <= kPatience) {
      FATHOM_TRY_VOID(train_predictor());
      if (epoch_ % 3 == 0) {
        train_controller();
      } else {
        train_backbone();
      }
      ++epoch_;
      const auto [accuracy, layers] = evaluate();
      if (accuracy > best_accuracy_) {
        best_accuracy_ = accuracy;
        best_epoch_ = epoch_;
        best_ = snapshot();
      }
      metrics.add("paper", static_cast<long>(epoch_),
                  {{"gated_accuracy", accuracy}, {"layers_run", layers}, {"lr", rate()}});
      if (bar)
        bar->update(static_cast<long>(epoch_), "tune " + Json(accuracy).dump() + ", layers " + Json(layers).dump());
      FATHOM_TRY_VOID(metrics.flush());
      FATHOM_TRY_VOID(checkpoints.save("paper", state()));
      if (stop_requested != 0)
        return Error{Code::cancelled, "stopped after epoch " + std::to_string(epoch_),
                     "the same command goes on from here"};
    }
    load(best_);
    return finish();
  }

 private:
  FlatParameters trunk_parameters() const {
    auto all = backbone_.parameters();
    for (auto& p : heads_.exit_parameters(spec_.layers)) all.push_back(p);
    return FlatParameters(all);
  }
  FlatParameters control_parameters() {
    value_w_ = torch::zeros({1, spec_.policy_hidden}).set_requires_grad(true);
    value_b_ = torch::zeros({1}).set_requires_grad(true);
    auto all = net_.parameters();
    all.push_back(value_w_);
    all.push_back(value_b_);
    return FlatParameters(all);
  }
  double rate() const { return run_.rate * std::pow(0.5, static_cast<double>(epoch_ / kHalvedEvery)); }
  Tensor snapshot() const {
    return torch::cat({trunk_.values(), control_.values(), FlatParameters(extractor_->parameters()).values()}).clone();
  }
  void load(const Tensor& all) {
    torch::NoGradGuard no_grad;
    const FlatParameters extractor(extractor_->parameters());
    std::int64_t at = 0;
    for (auto values : {trunk_.values(), control_.values(), extractor.values()}) {
      values.copy_(all.narrow(0, at, values.numel()));
      at += values.numel();
    }
  }

  State state() const {
    State s;
    s.facts = {{"epoch", epoch_},
               {"best_epoch", best_epoch_},
               {"best_accuracy", best_accuracy_},
               {"trunk_steps", trunk_adam_.steps()},
               {"control_steps", control_adam_.steps()}};
    s.tensors = {
        {"all", snapshot()}, {"best", best_}, {"trunk", trunk_adam_.snapshot()}, {"control", control_adam_.snapshot()}};
    return s;
  }
  Status restore(const State& s) {
    const Error unfit{Code::io, "the checkpoint does not fit this model", "delete it and start again"};
    for (const char* name : {"all", "best", "trunk", "control"}) {
      if (!s.tensors.contains(name)) return unfit;
    }
    if (s.tensors.at("all").numel() != best_.numel() || s.tensors.at("best").numel() != best_.numel()) return unfit;
    load(s.tensors.at("all"));
    best_ = s.tensors.at("best");
    if (!trunk_adam_.restore(s.tensors.at("trunk"), s.facts["trunk_steps"].get<long>()) ||
        !control_adam_.restore(s.tensors.at("control"), s.facts["control_steps"].get<long>())) {
      return unfit;
    }
    epoch_ = s.facts["epoch"].get<std::int64_t>();
    best_epoch_ = s.facts["best_epoch"].get<std::int64_t>();
    best_accuracy_ = s.facts["best_accuracy"].get<double>();
    return {};
  }

  // Rows of this epoch's step: a pure function of seed, epoch and step.
  Tensor rows_of(const std::vector<std::int64_t>& order, std::int64_t begin, std::int64_t count) const {
    std::vector<std::int64_t> rows;
    for (std::int64_t i = 0; i < count; ++i)
      rows.push_back(order[static_cast<std::size_t>((begin + i) % static_cast<std::int64_t>(order.size()))]);
    return torch::tensor(rows);
  }
  std::vector<std::int64_t> order(const std::string& name) const {
    return shuffled(run_.train.size(), run_.seed, name, static_cast<std::uint64_t>(epoch_));
  }

  Tensor layer_logits(const Encoded& batch, const Tensor& h0) {  // task head after every layer
    const auto lengths = backbone_.attention_mask(batch);
    std::vector<Tensor> out;
    auto h = h0;
    for (int l = 0; l < spec_.layers; ++l) {
      h = backbone_.layer(l, h, lengths);
      out.push_back(heads_.logits(spec_.layers, backbone_.pooled(h, batch)));
    }
    return torch::stack(out, 1);
  }

  World observe(const Encoded& batch) {
    torch::NoGradGuard no_grad;
    World out;
    out.h0 = backbone_.embed(batch);
    auto seen = extract(spec_, *extractor_, out.h0, batch.lengths);
    out.features = seen.features.contiguous();
    out.start = seen.policy_input;
    if (!trees_) return out;
    const auto width = static_cast<std::size_t>(out.features.size(1));
    for (std::int64_t i = 0; i < batch.size(); ++i) {
      const std::span<const double> row(out.features.data_ptr<double>() + static_cast<std::size_t>(i) * width, width);
      out.start[i][out.start.size(1) - 1] = static_cast<float>(trees_->predict(row)) / static_cast<float>(spec_.layers);
    }
    return out;
  }

  // Step 1: l_opt of fresh rows, the extractor on it (and on the backbone's logits), then LightGBM.
  Status train_predictor() {
    const auto batch =
        run_.train.select(rows_of(order("paper predictor"), 0, std::min(kPredictorRows, run_.train.size())));
    backbone_.eval();
    std::vector<Tensor> logits, states;
    {
      torch::NoGradGuard no_grad;
      for (std::int64_t at = 0; at < batch.size(); at += 64) {
        const auto part = batch.slice(at, std::min(batch.size(), at + 64));
        const auto h0 = backbone_.embed(part);
        logits.push_back(layer_logits(part, h0));
        states.push_back(torch::constant_pad_nd(h0, {0, 0, 0, spec_.tokens() - h0.size(1)}));
      }
    }
    const auto all = torch::cat(logits), h0 = torch::cat(states);
    depth_ = stable_depths(all);
    ExtractorSettings settings;
    settings.epochs = 1;
    settings.batch = static_cast<int>(run_.batch);
    settings.rate = std::max(rate(), 1e-3);
    settings.seed = Random(run_.seed, "paper extractor", static_cast<std::uint64_t>(epoch_)).next();
    settings.from = extractor_;
    fit_extractor(spec_, {h0, batch.lengths, depth_, all.select(1, spec_.layers - 1).contiguous()},
                  torch::arange(batch.size()), torch::empty({0}, torch::kLong), settings, 0);
    const auto seen = extract(spec_, *extractor_, h0, batch.lengths);
    TreeSettings trees = tree_budget(spec_);
    trees.min_leaf = 20;
    FATHOM_TRY(const auto booster, Booster::train({seen.features.contiguous(), depth_.to(torch::kFloat).contiguous()},
                                                  trees, policy::PredictorKind::huber, run_.seed));
    FATHOM_TRY(predictor_text_, booster->text(0));
    FATHOM_TRY(auto parsed, policy::Trees::parse(predictor_text_, "predictor.txt"));
    trees_ = std::move(parsed);
    return {};
  }

  PolicyNet::Output decide(const Tensor& start) const {
    return net_.forward(start, open_inputs(start.size(0), spec_.layers, spec_.layers));
  }

  // Step 2, every third epoch: PPO over skip masks, the backbone frozen.
  void train_controller() {
    const auto rows = order("paper rollout");
    const std::int64_t total = epoch_steps_ * run_.batch;
    for (std::int64_t at = 0; at < total; at += kRolloutRows) {
      const auto batch = run_.train.select(rows_of(rows, at, std::min(kRolloutRows, total - at)));
      improve_controller(batch, static_cast<std::uint64_t>(epoch_ * 100000 + at));
    }
  }

  void improve_controller(const Encoded& batch, std::uint64_t draw) {
    const auto world = observe(batch);
    const std::int64_t n = batch.size(), layers = spec_.layers;
    auto skips = torch::zeros({n, layers}), advantages = torch::zeros({n, layers}), returns = torch::zeros({n, layers});
    Tensor old;
    {
      torch::NoGradGuard no_grad;
      const auto out = decide(world.start);
      const auto logits = out.logits.select(2, 1).contiguous();
      const auto values = torch::linear(out.states, value_w_, value_b_).squeeze(2).to(torch::kDouble).contiguous();
      const auto p = torch::sigmoid(logits).contiguous();
      Random random(run_.seed, "paper skips", draw);
      for (std::int64_t i = 0; i < n * layers; ++i)
        skips.data_ptr<float>()[i] = random.chance(p.data_ptr<float>()[i]) ? 1.0f : 0.0f;
      old = torch::log_sigmoid((2 * skips - 1) * logits);
      const auto right =
          gated_logits(backbone_, heads_, batch, world.h0, runs_of(skips - 0.5)).argmax(1).eq(batch.labels);
      std::vector<double> rewards(static_cast<std::size_t>(layers)), gains(rewards.size());
      for (std::int64_t i = 0; i < n; ++i) {
        const float* skip = skips.data_ptr<float>() + i * layers;
        const std::span<const double> value(values.data_ptr<double>() + i * layers, rewards.size());
        for (std::int64_t l = 0; l < layers; ++l) {
          const bool switched = l > 0 && skip[l] != skip[l - 1];
          rewards[static_cast<std::size_t>(l)] =
              (skip[l] > 0 ? 0.0 : -kPrice / static_cast<double>(layers)) - (switched ? 0.01 : 0.0);
        }
        rewards.back() += right[i].item<bool>() ? 1.0 : 0.0;
        advantages_of(rewards, value, 1.0, 0.95, gains);
        for (std::size_t l = 0; l < gains.size(); ++l) {
          advantages.data_ptr<float>()[i * layers + static_cast<std::int64_t>(l)] = static_cast<float>(gains[l]);
          returns.data_ptr<float>()[i * layers + static_cast<std::int64_t>(l)] =
              static_cast<float>(gains[l] + value[l]);
        }
      }
      advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8);
    }
    for (int pass = 0; pass < 4; ++pass) {
      control_adam_.zero();
      const auto out = decide(world.start);
      const auto logits = out.logits.select(2, 1);
      const auto ratio = torch::exp(torch::log_sigmoid((2 * skips - 1) * logits) - old);
      const auto gain = torch::min(ratio * advantages, ratio.clamp(0.8, 1.2) * advantages);
      const auto entropy = torch::softplus(logits) - torch::sigmoid(logits) * logits;
      const auto values = torch::linear(out.states, value_w_, value_b_).squeeze(2);
      const auto loss = -gain.mean() - 0.01 * entropy.mean() + 0.5 * torch::pow(values - returns, 2).mean();
      loss.backward();
      control_adam_.step(rate(), 0.5);
    }
  }

  // Step 2, the other epochs: the backbone under the controller's own masks, taught by its full depth.
  void train_backbone() {
    const auto rows = order("paper backbone");
    for (std::int64_t s = 0; s < epoch_steps_; ++s) {
      const auto batch = run_.train.select(rows_of(rows, s * run_.batch, run_.batch));
      Tensor runs, teacher;
      backbone_.eval();
      {
        torch::NoGradGuard no_grad;
        const auto world = observe(batch);
        runs = runs_of(decide(world.start).logits.select(2, 1));
        teacher = gated_logits(backbone_, heads_, batch, world.h0, torch::ones_like(runs));
      }
      backbone_.train();
      trunk_adam_.zero();
      const auto logits = gated_logits(backbone_, heads_, batch, backbone_.embed(batch), runs);
      const auto target = torch::softmax(teacher / 2.0, 1);
      const auto kd = (target * (torch::log(target + 1e-12) - torch::log_softmax(logits / 2.0, 1))).sum(1).mean() * 4.0;
      const auto loss = torch::nll_loss(torch::log_softmax(logits, 1), batch.labels) + kd;
      loss.backward();
      trunk_adam_.step(rate(), kTrunkClip);
    }
  }

  // Accuracy of the gated pass on tune and the mean share of layers it runs.
  std::pair<double, double> evaluate() {
    torch::NoGradGuard no_grad;
    backbone_.eval();
    double right = 0, layers = 0;
    for (std::int64_t at = 0; at < tune_.size(); at += 64) {
      const auto batch = tune_.slice(at, std::min(tune_.size(), at + 64));
      const auto world = observe(batch);
      const auto runs = runs_of(decide(world.start).logits.select(2, 1));
      right += gated_logits(backbone_, heads_, batch, world.h0, runs).argmax(1).eq(batch.labels).sum().item<double>();
      layers += runs.sum().item<double>();
    }
    const double n = static_cast<double>(tune_.size());
    return {right / n, layers / n};
  }

  Result<DecisionResult> finish() {
    FATHOM_TRY_VOID(train_predictor());  // of the weights that are returned
    DecisionResult out;
    const auto [accuracy, layers] = evaluate();
    const auto logits = last_logits(backbone_, heads_, tune_);
    out.tensors = extractor_->named_weights();
    out.tensors.merge(net_.named_weights());
    out.predictor_text = predictor_text_;
    out.policy.kind = policy::PolicyKind::gates;
    out.policy.score = policy::Score::policy;
    out.policy.temperature.assign(static_cast<std::size_t>(spec_.layers), 1.0f);
    out.policy.temperature.back() = fit_temperatures(logits.unsqueeze(1), tune_.labels)[0];
    out.policy.fusion.bias.assign(static_cast<std::size_t>(spec_.layers - 1), 0.0f);
    out.policy.predictor_kind = policy::PredictorKind::huber;
    out.policy.predictor = std::move(trees_);
    out.policy.policy_reads_level = true;
    out.facts = {{"epochs", epoch_},
                 {"best_epoch", best_epoch_},
                 {"epoch_steps", epoch_steps_},
                 {"gated_accuracy", accuracy},
                 {"layers_run", layers},
                 {"full_depth_accuracy", accuracy_of(logits, tune_.labels)},
                 {"mean_stable_depth", depth_.to(torch::kDouble).mean().item<double>()}};
    return out;
  }

  Backbone& backbone_;
  Heads& heads_;
  const PaperRun& run_;
  const ModelSpec spec_;
  std::shared_ptr<Extractor> extractor_;
  PolicyNet net_;
  Tensor value_w_, value_b_;
  FlatParameters trunk_, control_;
  SmallAdamW trunk_adam_, control_adam_;
  std::int64_t epoch_steps_ = 1, epochs_ = 1, epoch_ = 0, best_epoch_ = 0;
  double best_accuracy_ = -1;
  Tensor best_, depth_;
  Encoded tune_;
  std::string predictor_text_;
  std::optional<policy::Trees> trees_;
};

}  // namespace

Result<DecisionResult> train_paper(Backbone& backbone, Heads& heads, const PaperRun& run,
                                   const Checkpoints& checkpoints, Metrics& metrics) {
  if (run.train.size() < run.batch) {
    return Error{Code::bad_input,
                 "paper recipe: " + std::to_string(run.train.size()) + " training rows for batches of " +
                     std::to_string(run.batch),
                 "give more data or a smaller --batch"};
  }
  PaperTraining training(backbone, heads, run);
  return training.train(checkpoints, metrics);
}

}  // namespace fathom::train
