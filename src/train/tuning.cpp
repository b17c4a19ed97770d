#include "train/tuning.h"

#include <cmath>

#include "base/random.h"
#include "train/export.h"
#include "train/heads.h"

namespace fathom::train {
namespace {

using torch::Tensor;

constexpr double kMostDropped = 0.1, kHeadRate = 20.0;  // exits learn at 1e-3 where the trunk does at 5e-5

ModelSpec with_linear_exits(ModelSpec spec) {
  spec.exit_head_hidden = 0;
  return spec;
}

Tensor cross_entropy(const Tensor& log_p, const Tensor& labels) {
  return torch::nll_loss(log_p, labels, {}, at::Reduction::Sum);
}

// Summed over rows; no gradient into the teacher.
Tensor divergence(const Tensor& logits, const Tensor& teacher) {
  return row_divergence(logits, teacher.detach(), kDistilTemperature).sum();
}

double exits_share(const Place& place) {
  if (2 * place.step >= place.steps) return 2.0;
  return place.step % 2 == 0 ? 0.2 : 2.0;
}

// Share of rows that skip layer l (0-based) at this point of the run.
double dropped_share(int l, int layers, const Place& place) {
  if (l < 2 || layers < 3) return 0;
  const double progress = static_cast<double>(place.step) / static_cast<double>(place.steps);
  return kMostDropped * (std::exp(l * std::log(2.0) / (layers - 1)) - 1) * progress;
}

}  // namespace

TuningLearner::TuningLearner(const ModelSpec& spec, TuningTask task)
    : spec_(spec), task_(std::move(task)), backbone_(spec), head_(spec), exits_(with_linear_exits(spec)) {
  if (spec.modality == Modality::text) backbone_.freeze_embeddings();
}

TuningLearner::TuningLearner(const fathom::Model& model, TuningTask task)
    : TuningLearner(model.spec(), std::move(task)) {
  torch::NoGradGuard no_grad;
  for (auto& [name, tensor] : weights())
    tensor.copy_(torch::from_blob(const_cast<float*>(model.weight(name)), tensor.sizes(), torch::kFloat));
  collect();
}

void TuningLearner::collect() {
  std::vector<Tensor> learning;
  for (const auto& p : backbone_.parameters())
    if (p.requires_grad()) learning.push_back(p);
  for (const auto& p : head_.parameters()) learning.push_back(p);
  const std::size_t own = learning.size();
  if (task_.how == Tuning::exits)
    for (int e = 1; e < spec_.layers; ++e)
      for (const auto& p : exits_.exit_parameters(e)) learning.push_back(p);
  parameters_ = FlatParameters(learning);
  parameters_.scale_rate(own, static_cast<float>(kHeadRate));
}

std::unique_ptr<Learner> TuningLearner::replica() {
  std::unique_ptr<TuningLearner> out(new TuningLearner(spec_, task_));
  out->collect();
  out->parameters_.share(parameters_);
  const auto mine = backbone_.named_weights();
  torch::NoGradGuard no_grad;
  for (auto& [name, tensor] : out->backbone_.named_weights())  // those that do not learn are no part of the flat values
    if (name.starts_with("embeddings.")) tensor.copy_(mine.at(name));
  return out;
}

Tensor TuningLearner::last_loss(const Tensor& logits, const Encoded& part, const Tensor& rows) const {
  if (!task_.teacher.defined()) return cross_entropy(torch::log_softmax(logits, 1), part.labels);
  const auto taught = divergence(logits, task_.teacher.index_select(0, rows));
  return task_.labels ? 0.5 * cross_entropy(torch::log_softmax(logits, 1), part.labels) + 0.5 * taught : taught;
}

Tensor TuningLearner::loss(const Encoded& part, const Tensor& rows, const Place& place) {
  backbone_.train();
  backbone_.seed_dropout(Random(place.seed, "dropout", place.stream()).next());
  const auto mask = backbone_.attention_mask(part);
  auto h = backbone_.embed(part);
  const std::int64_t n = part.size();
  std::vector<Tensor> exits;
  for (int l = 0; l < spec_.layers; ++l) {
    const double dropped = task_.how == Tuning::exits ? dropped_share(l, spec_.layers, place) : 0;
    auto next = backbone_.layer(l, h, mask);
    if (dropped > 0) {
      Random random(place.seed, "layer drop", place.stream() * 64 + static_cast<std::uint64_t>(l));
      auto skips = torch::empty({n, 1, 1}, torch::kBool);
      for (std::int64_t i = 0; i < n; ++i) skips.data_ptr<bool>()[i] = random.chance(dropped);
      next = torch::where(skips, h, next);
    }
    h = next;
    if (task_.how == Tuning::exits && l + 1 < spec_.layers)
      exits.push_back(exits_.logits(l + 1, backbone_.pooled(h, part)));
  }
  const auto last = head_.logits(h, backbone_.dropout_mask(n, head_.width()));
  Tensor loss = last_loss(last, part, rows);
  double weights = 0;
  for (std::size_t i = 1; i <= exits.size(); ++i) weights += static_cast<double>(i);
  for (std::size_t i = 1; i <= exits.size(); ++i) {
    const auto& logits = exits[i - 1];
    const auto follows = divergence(logits, last);
    const auto own =
        !task_.labels ? follows : 0.5 * cross_entropy(torch::log_softmax(logits, 1), part.labels) + 0.5 * follows;
    loss = loss + own * (exits_share(place) * static_cast<double>(i) / weights);
  }
  return loss / static_cast<double>(place.batch);
}

Tensor TuningLearner::logits(const Encoded& data) {
  return evaluate_last(backbone_, data, spec_.classes(),
                       [&](const Encoded&, const Tensor& h) { return head_.logits(h); });
}

double TuningLearner::accuracy(const Encoded& data) { return accuracy_of(logits(data), data.labels); }

std::map<std::string, Tensor> TuningLearner::weights() const {
  auto out = backbone_.named_weights();
  out.merge(head_.named_weights());
  return out;
}

Result<std::string> TuningLearner::file(const SafeTensors& before, const Naming& naming) const {
  return checkpoint_file(spec_, before, naming, weights());
}

}  // namespace fathom::train
