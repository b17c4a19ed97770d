#include "train/heads.h"

#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/log.h"
#include "base/random.h"
#include "train/layer_kernels.h"
#include "train/rows_at_once.h"
#include "train/trunk.h"

namespace fathom::train {
namespace {

using torch::Tensor;

Pooled pooled_states(Backbone& backbone, const Heads& heads, const Encoded& data, const std::filesystem::path& file,
                     Progress* bar) {
  torch::NoGradGuard no_grad;
  backbone.eval();
  const auto& spec = backbone.spec();
  const std::int64_t exits = spec.layers - 1, n = data.size();
  Pooled out;
  out.teacher = torch::empty({n, spec.classes()});
  const std::int64_t count = exits * n * spec.pooled();
  out.states = (file.empty() ? torch::empty({count}) : torch::from_file(file.string(), true, count, torch::kFloat))
                   .view({exits, n, spec.pooled()});
  const std::int64_t rows = rows_at_once(spec);
  for (std::int64_t begin = 0; begin < n; begin += rows) {
    const auto part = data.slice(begin, std::min(n, begin + rows));
    const auto mask = backbone.attention_mask(part);
    auto h = backbone.embed(part);
    for (int l = 0; l < spec.layers; ++l) {
      h = backbone.layer(l, h, mask);
      const auto pooled = backbone.pooled(h, part);
      if (l + 1 < spec.layers)
        out.states[l].narrow(0, begin, part.size()).copy_(pooled);
      else
        out.teacher.narrow(0, begin, part.size()).copy_(heads.logits(spec.layers, pooled));
    }
    if (bar != nullptr) bar->update(static_cast<long>(begin + part.size()));
  }
  return out;
}

// All exits' heads, stacked: x [E, B, P] -> logits [E, B, C].
class Stack {
 public:
  Stack(const ModelSpec& spec, std::uint64_t seed)
      : eps_(spec.layer_norm_eps), generator_(torch::make_generator<at::CPUGeneratorImpl>(seed)) {
    const std::int64_t e = spec.layers - 1, p = spec.pooled(), h = spec.exit_head_hidden, c = spec.classes();
    const auto linear = [&](std::int64_t in, std::int64_t out) {
      const double bound = 1.0 / std::sqrt(static_cast<double>(in));
      return torch::empty({e, in, out}).uniform_(-bound, bound, generator_);
    };
    norm_w_ = torch::ones({e, 1, p});
    norm_b_ = torch::zeros({e, 1, p});
    if (h > 0) {
      dense_w_ = linear(p, h);
      dense_b_ = torch::zeros({e, 1, h});
    }
    out_w_ = linear(h > 0 ? h : p, c);
    out_b_ = torch::zeros({e, 1, c});
    for (auto& t : all()) t.requires_grad_(true);
  }
  std::vector<Tensor> all() const {
    if (dense_w_.defined()) return {norm_w_, norm_b_, dense_w_, dense_b_, out_w_, out_b_};
    return {norm_w_, norm_b_, out_w_, out_b_};
  }
  void seed(std::uint64_t seed) { generator_.set_current_seed(seed); }
  Tensor logits(const Tensor& x, double dropout) {
    auto y = torch::layer_norm(x, {x.size(2)}, {}, {}, eps_) * norm_w_ + norm_b_;
    if (dropout > 0) y = y * torch::empty_like(y).bernoulli_(1 - dropout, generator_).div_(1 - dropout);
    if (dense_w_.defined()) {
      y = torch::gelu(torch::baddbmm(dense_b_, y, dense_w_));
      if (dropout > 0) y = y * torch::empty_like(y).bernoulli_(1 - dropout, generator_).div_(1 - dropout);
    }
    return torch::baddbmm(out_b_, y, out_w_);
  }
  // Copies exit e (0-based) into a head's parameters (Heads::exit_parameters order).
  void copy_into(std::int64_t e, const std::vector<Tensor>& head) const {
    const auto mine = all();
    for (std::size_t i = 0; i < mine.size(); ++i) {
      auto value = mine[i].detach()[e];
      const bool matrix = mine[i].size(1) > 1;  // vectors are [E, 1, n]
      head[i].detach().copy_(matrix ? value.t() : value.reshape(head[i].sizes()));
    }
  }

 private:
  double eps_;
  torch::Generator generator_;
  Tensor norm_w_, norm_b_, dense_w_, dense_b_, out_w_, out_b_;
};

// Mean of the rows, per exit: [E].
Tensor divergence(const Tensor& logits, const Tensor& teacher, double temperature) {
  return row_divergence(logits, teacher, temperature).mean(1);
}

Tensor tune_divergence(Stack& stack, const Pooled& tune, double temperature) {
  torch::NoGradGuard no_grad;
  return divergence(stack.logits(tune.states, 0), tune.teacher, temperature);
}

// One optimiser step of every exit.
void update(const FlatParameters& flat, Tensor& first, Tensor& second, const HeadsSchedule& s, std::int64_t step,
            std::int64_t steps) {
  torch::NoGradGuard no_grad;
  AdamStep a;
  a.beta2 = 0.999f;
  a.rate = static_cast<float>(s.rate * (1.0 - static_cast<double>(step) / static_cast<double>(steps)));
  a.correction1 = static_cast<float>(1 - std::pow(0.9, static_cast<double>(step + 1)));
  a.correction2 = static_cast<float>(1 - std::pow(0.999, static_cast<double>(step + 1)));
  for (const auto& range : flat.ranges()) {
    a.decay = static_cast<float>(s.decay);
    adam_update(a, range.end - range.begin, flat.gradients().data_ptr<float>() + range.begin,
                flat.values().data_ptr<float>() + range.begin, first.data_ptr<float>() + range.begin,
                second.data_ptr<float>() + range.begin);
  }
}

State heads_state(const Heads& heads) {
  State state;
  state.tensors = heads.named_weights();
  return state;
}

Status restore_heads(const Heads& heads, const State& state) {
  for (auto& [name, tensor] : heads.named_weights()) {
    const auto found = state.tensors.find(name);
    if (found == state.tensors.end() || found->second.sizes() != tensor.sizes()) {
      return Error{Code::io, "the heads' checkpoint has no fitting tensor '" + name + "'", "delete it and start again"};
    }
    Tensor target = tensor;
    target.copy_(found->second);
  }
  return {};
}

}  // namespace

Status train_heads_on(const ModelSpec& spec, Heads& heads, const PooledRun& run, const Checkpoints& checkpoints,
                      Metrics& metrics) {
  FATHOM_TRY(const auto before, checkpoints.load("heads"));
  if (before) return restore_heads(heads, *before);
  const auto& s = run.schedule;
  const Pooled &train = run.train, &tune = run.tune;
  const std::int64_t exits = spec.layers - 1, n = train.teacher.size(0);
  if (exits == 0) return {};
  Stack stack(spec, Random(run.seed, "heads").next());
  FlatParameters flat(stack.all());
  auto first = torch::zeros_like(flat.values()), second = torch::zeros_like(flat.values());
  const auto batch = std::min(s.batch, n), per_epoch = n / batch;
  const auto steps = std::max<std::int64_t>(1, std::llround(s.epochs * static_cast<double>(per_epoch)));
  auto best = torch::full({exits}, std::numeric_limits<float>::infinity());
  std::unique_ptr<Progress> bar;
  if (run.progress) bar = std::make_unique<Progress>("heads", static_cast<long>(steps));
  Tensor order;
  const Interruptible interruptible;
  for (std::int64_t step = 0; step < steps; ++step) {
    if (step % per_epoch == 0) {
      std::vector<std::int64_t> rows(static_cast<std::size_t>(n));
      std::iota(rows.begin(), rows.end(), 0);
      Random(run.seed, "heads order", static_cast<std::uint64_t>(step / per_epoch)).shuffle(rows);
      order = torch::tensor(rows, torch::kLong);
    }
    const auto rows = order.narrow(0, step % per_epoch * batch, batch);
    flat.gradients().zero_();
    stack.seed(Random(run.seed, "heads dropout", static_cast<std::uint64_t>(step)).next());
    const auto loss = divergence(stack.logits(train.states.index_select(1, rows), s.dropout),
                                 train.teacher.index_select(0, rows), s.temperature)
                          .sum();
    loss.backward();
    update(flat, first, second, s, step, steps);
    if (stop_requested != 0)
      return Error{Code::cancelled, "stopped while training exit heads",
                   "the same command goes on from the states below them"};
    const bool epoch_ends = (step + 1) % per_epoch == 0 || step + 1 == steps;
    if (bar) bar->update(static_cast<long>(step + 1));
    if (!epoch_ends) continue;
    torch::NoGradGuard no_grad;
    const auto now = tune_divergence(stack, tune, s.temperature);
    for (std::int64_t e = 0; e < exits; ++e) {
      const float d = now[e].item<float>();
      if (d > best[e].item<float>()) continue;
      best[e] = d;
      stack.copy_into(e, heads.exit_parameters(static_cast<int>(e) + 1));
    }
    metrics.add(
        "heads", static_cast<long>(step + 1),
        {{"loss", loss.item<double>() / static_cast<double>(exits)}, {"tune_divergence", now.mean().item<double>()}});
  }
  for (std::int64_t e = 0; e < exits; ++e)
    metrics.add("heads_best", static_cast<long>(e + 1), {{"tune_divergence", best[e].item<double>()}});
  FATHOM_TRY_VOID(metrics.flush());
  return checkpoints.save("heads", heads_state(heads));
}

Status train_heads(Backbone& backbone, Heads& heads, const HeadsRun& run, const Checkpoints& checkpoints,
                   Metrics& metrics) {
  FATHOM_TRY(const auto before, checkpoints.load("heads"));
  if (before) return restore_heads(heads, *before);
  const auto& spec = backbone.spec();
  if (spec.layers == 1) return {};
  const auto n = std::min(run.train.size(), run.schedule.rows);
  const auto file = run.scratch.empty() ? std::filesystem::path() : run.scratch / "pooled.bin";
  Pooled train;
  {
    std::unique_ptr<Progress> bar;
    if (run.progress) bar = std::make_unique<Progress>("states", static_cast<long>(n));
    train = pooled_states(backbone, heads, run.train.sample(n), file, bar.get());
  }
  const auto tune = pooled_states(backbone, heads, run.tune.sample(2000), {}, nullptr);
  FATHOM_TRY_VOID(
      train_heads_on(spec, heads, {train, tune, run.schedule, run.seed, run.progress}, checkpoints, metrics));
  train = {};
  if (!file.empty()) {
    std::error_code ignored;
    std::filesystem::remove(file, ignored);
  }
  return {};
}

Tensor row_divergence(const Tensor& logits, const Tensor& teacher, double temperature) {
  const auto p = torch::softmax(teacher / temperature, -1), log_p = torch::log_softmax(teacher / temperature, -1);
  return (p * (log_p - torch::log_softmax(logits / temperature, -1))).sum(-1) * (temperature * temperature);
}

std::vector<double> exit_accuracies(const Tensor& logits, const Tensor& labels) {
  const auto right = logits.argmax(2).eq(labels.unsqueeze(1)).to(torch::kDouble).mean(0);
  return {right.data_ptr<double>(), right.data_ptr<double>() + right.size(0)};
}

}  // namespace fathom::train
