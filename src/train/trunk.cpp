#include "train/trunk.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <thread>

#include "base/log.h"
#include "base/random.h"
#include "train/layer_kernels.h"

namespace fathom::train {

volatile std::sig_atomic_t stop_requested = 0, stop_polled = 0;

namespace {

using torch::Tensor;

constexpr std::int64_t kEvalRows = 2000;       // tune rows looked at during training
constexpr std::int64_t kShardFloats = 160000;  // a batch with more tokens x width than this is cut in two

class TrunkTraining {
 public:
  TrunkTraining(Learner& learner, const TrunkRun& run)
      : learner_(learner), run_(run), order_(run.train, run.schedule.batch, run.seed) {
    const int shards = run.schedule.batch * learner.row_floats() > kShardFloats && run.schedule.batch >= 2 ? 2 : 1;
    shards_.push_back(&learner);
    for (int i = 1; i < shards; ++i) {
      replicas_.push_back(learner.replica());
      shards_.push_back(replicas_.back().get());
    }
    losses_.resize(shards_.size());
    for (Learner* shard : shards_) shard->set_dropout(run.schedule.dropout);
    first_ = torch::zeros_like(values());
    second_ = torch::zeros_like(values());
    best_ = values().clone();
    tune_ = run.tune.sample(kEvalRows);
  }

  Tensor values() const { return learner_.parameters().values(); }
  std::int64_t step() const { return step_; }
  double loss() const { return loss_; }
  double best_accuracy() const { return best_accuracy_; }

  void take_step() {
    const auto rows = order_.rows(step_);
    const auto shards = static_cast<std::int64_t>(shards_.size());
    const auto work = [&](std::int64_t i) {
      const auto begin = rows.size(0) * i / shards, end = rows.size(0) * (i + 1) / shards;
      shard_gradient(static_cast<std::size_t>(i), rows.narrow(0, begin, end - begin), rows.size(0));
    };
    if (shards > 1 && run_.threads > 1) {
      std::vector<std::thread> others;
      for (std::int64_t i = 1; i < shards; ++i) {
        others.emplace_back([&work, i] {
          at::set_num_threads(1);  // a new thread starts with the machine's default
          work(i);
        });
      }
      work(0);
      for (auto& t : others) t.join();
    } else {
      for (std::int64_t i = 0; i < shards; ++i) work(i);
    }
    torch::NoGradGuard no_grad;
    loss_ = 0;
    for (std::size_t i = 0; i < shards_.size(); ++i) {
      loss_ += losses_[i];
      if (i > 0) learner_.parameters().gradients().add_(shards_[i]->parameters().gradients());
    }
    learner_.before_update();
    update(scheduled_rate(run_.schedule, step_));
    learner_.after_update({step_, run_.schedule.steps});
    ++step_;
  }

  double evaluate() {
    const double accuracy = learner_.accuracy(tune_);
    if (accuracy >= best_accuracy_ || !run_.schedule.keep_best) {
      best_accuracy_ = accuracy;
      best_step_ = step_;
      best_.copy_(values());
    }
    return accuracy;
  }

  std::int64_t restore_best() {
    values().copy_(best_);
    return best_step_;
  }

  State state() const {
    State s;
    s.facts = {{"step", step_}, {"best_step", best_step_}, {"best_accuracy", best_accuracy_}};
    s.tensors = tensors();
    return s;
  }

  Status restore(const State& s) {
    for (auto& [name, tensor] : tensors()) {
      const auto found = s.tensors.find(name);
      if (found == s.tensors.end() || found->second.numel() != tensor.numel()) {
        return Error{Code::io, "the checkpoint has no fitting tensor '" + name + "'", "delete it and start again"};
      }
      tensor.copy_(found->second);
    }
    step_ = s.facts["step"].get<std::int64_t>();
    best_step_ = s.facts["best_step"].get<std::int64_t>();
    best_accuracy_ = s.facts["best_accuracy"].get<double>();
    return {};
  }

 private:
  std::map<std::string, Tensor> tensors() const {
    std::map<std::string, Tensor> out = learner_.kept();
    out.insert({{"values", values()}, {"first", first_}, {"second", second_}, {"best", best_}});
    return out;
  }

  void shard_gradient(std::size_t shard, const Tensor& rows, std::int64_t batch) {
    Learner& learner = *shards_[shard];
    learner.parameters().gradients().zero_();
    const Place place{step_, run_.schedule.steps, static_cast<std::int64_t>(shard), batch, run_.seed};
    const auto loss = learner.loss(run_.train.select(rows), rows, place);
    loss.backward();
    losses_[shard] = loss.item<double>();
  }

  void update(double scheduled) {
    const auto& s = run_.schedule;
    const auto& flat = learner_.parameters();
    const float* gradient = flat.gradients().data_ptr<float>();
    const double norm = std::sqrt(sum_of_squares(flat.gradients().numel(), gradient));
    AdamStep a;
    const auto rate = static_cast<float>(scheduled);
    a.beta1 = static_cast<float>(s.beta1);
    a.beta2 = static_cast<float>(s.beta2);
    a.correction1 = static_cast<float>(1 - std::pow(s.beta1, static_cast<double>(step_ + 1)));
    a.correction2 = static_cast<float>(1 - std::pow(s.beta2, static_cast<double>(step_ + 1)));
    a.gradient_scale = static_cast<float>(s.clip > 0 && norm > s.clip ? s.clip / norm : 1.0);
    for (const auto& range : flat.ranges()) {
      a.rate = rate * range.rate;
      a.decay = static_cast<float>(range.decays ? s.decay : 0.0);
      adam_update(a, range.end - range.begin, gradient + range.begin, flat.values().data_ptr<float>() + range.begin,
                  first_.data_ptr<float>() + range.begin, second_.data_ptr<float>() + range.begin);
    }
  }

  Learner& learner_;
  const TrunkRun& run_;
  BatchOrder order_;
  std::vector<std::unique_ptr<Learner>> replicas_;
  std::vector<Learner*> shards_;  // the learner and its replicas
  std::vector<double> losses_;
  Tensor first_, second_, best_;
  Encoded tune_;
  std::int64_t step_ = 0, best_step_ = 0;
  double loss_ = 0, best_accuracy_ = -1;
};

std::string progress_text(double loss, double accuracy) {
  char text[96];
  if (accuracy > 0)
    std::snprintf(text, sizeof text, "loss %.3f, tune %.4f", loss, accuracy);
  else
    std::snprintf(text, sizeof text, "loss %.3f", loss);
  return text;
}

}  // namespace

double scheduled_rate(const Schedule& s, std::int64_t step) {
  if (step < s.warmup) return s.rate * static_cast<double>(step + 1) / static_cast<double>(s.warmup);
  const auto falls = std::max(s.warmup, static_cast<std::int64_t>(s.hold * static_cast<double>(s.steps)));
  if (step < falls) return s.rate;
  const double left =
      static_cast<double>(s.steps - step) / static_cast<double>(std::max<std::int64_t>(1, s.steps - falls));
  return s.rate * (s.final_share + (1 - s.final_share) * left);
}

BatchOrder::BatchOrder(const Encoded& data, std::int64_t batch, std::uint64_t seed)
    : lengths_(data.lengths.contiguous()), count_(data.size()), batch_(std::min(batch, data.size())), seed_(seed) {
  by_length_ =
      data.ids.defined() && count_ > 0 && lengths_.min().item<std::int64_t>() != lengths_.max().item<std::int64_t>();
}

void BatchOrder::deal(std::int64_t epoch) {
  epoch_ = epoch;
  order_.resize(static_cast<std::size_t>(count_));
  for (std::int64_t i = 0; i < count_; ++i) order_[static_cast<std::size_t>(i)] = i;
  Random random(seed_, "batch order", static_cast<std::uint64_t>(epoch));
  random.shuffle(order_);
  if (!by_length_) return;
  const auto* length = lengths_.data_ptr<std::int64_t>();
  const std::int64_t batches = count_ / batch_, pool = 16;
  for (std::int64_t b = 0; b < batches; b += pool) {
    const auto end = std::min(batches, b + pool) * batch_;
    std::stable_sort(order_.begin() + b * batch_, order_.begin() + end,
                     [&](auto x, auto y) { return length[x] < length[y]; });
  }
  std::vector<std::int64_t> batch_order(static_cast<std::size_t>(batches));
  for (std::int64_t b = 0; b < batches; ++b) batch_order[static_cast<std::size_t>(b)] = b;
  random.shuffle(batch_order);
  std::vector<std::int64_t> dealt;
  for (const auto b : batch_order)
    dealt.insert(dealt.end(), order_.begin() + b * batch_, order_.begin() + (b + 1) * batch_);
  order_ = std::move(dealt);
}

Tensor BatchOrder::rows(std::int64_t step) {
  const std::int64_t batches = count_ / batch_;  // the rest of an epoch is left out of it
  if (step / batches != epoch_) deal(step / batches);
  const auto begin = (step % batches) * batch_;
  auto out = torch::empty({batch_}, torch::kLong);
  std::copy_n(order_.begin() + begin, batch_, out.data_ptr<std::int64_t>());
  return out;
}

Result<TrunkFacts> train_trunk(Learner& learner, const TrunkRun& run, const Checkpoints& checkpoints,
                               Metrics& metrics) {
  TrunkTraining training(learner, run);
  FATHOM_TRY(const auto before, checkpoints.load("trunk"));
  if (before) {
    FATHOM_TRY_VOID(training.restore(*before));
    FATHOM_TRY_VOID(metrics.rewind("trunk", static_cast<long>(training.step())));
    if (run.progress) say("training goes on from step " + std::to_string(training.step()));
  }
  const auto steps = run.schedule.steps;
  const auto eval_every = std::max<std::int64_t>(50, steps / 12);
  std::unique_ptr<Progress> bar;
  if (run.progress) bar = std::make_unique<Progress>("trunk", static_cast<long>(steps));
  double accuracy = 0;
  const Interruptible interruptible;
  while (training.step() < steps) {
    training.take_step();
    const auto step = training.step();
    if (!std::isfinite(training.loss())) {
      return Error{Code::quality, "the loss is not finite after step " + std::to_string(step), "lower --lr"};
    }
    const bool look = step == steps || (run.schedule.keep_best && step % eval_every == 0);
    if (look) accuracy = training.evaluate();
    if (look || step % 50 == 0) {
      metrics.add("trunk", static_cast<long>(step),
                  {{"loss", training.loss()}, {"lr", scheduled_rate(run.schedule, step - 1)}});
      if (look) metrics.add("trunk", static_cast<long>(step), {{"tune_accuracy", accuracy}});
    }
    if (bar) bar->update(static_cast<long>(step), progress_text(training.loss(), accuracy));
    const bool stop = stop_requested != 0 && step < steps;
    if (stop || step % run.checkpoint_every == 0 || step == steps) {
      FATHOM_TRY_VOID(metrics.flush());
      FATHOM_TRY_VOID(checkpoints.save("trunk", training.state()));
    }
    if (stop) {
      return Error{Code::cancelled, "stopped after step " + std::to_string(step) + " of " + std::to_string(steps),
                   "the state is kept: the same command goes on from here"};
    }
  }
  TrunkFacts facts;
  facts.best_step = training.restore_best();
  facts.tune_accuracy = learner.accuracy(run.tune);
  metrics.add("trunk", static_cast<long>(steps), {{"final_tune_accuracy", facts.tune_accuracy}});
  if (run.labelled) {
    facts.train_accuracy = learner.accuracy(run.train.sample(kEvalRows));
    metrics.add("trunk", static_cast<long>(steps), {{"final_train_accuracy", facts.train_accuracy}});
  }
  FATHOM_TRY_VOID(metrics.flush());
  return facts;
}

}  // namespace fathom::train
