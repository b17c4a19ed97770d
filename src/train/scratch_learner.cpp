#include "train/scratch_learner.h"

#include "base/random.h"
#include "train/heads.h"

namespace fathom::train {
namespace {

using torch::Tensor;

FlatParameters flat_parameters(Backbone& backbone, const Heads& heads) {
  auto all = backbone.parameters();
  for (auto& p : heads.exit_parameters(backbone.spec().layers)) all.push_back(p);
  return FlatParameters(all);
}

}  // namespace

ScratchLearner::ScratchLearner(Backbone& backbone, Heads& heads, Tensor teacher)
    : backbone_(backbone), heads_(heads), teacher_(std::move(teacher)), parameters_(flat_parameters(backbone, heads)) {}

ScratchLearner::ScratchLearner(std::unique_ptr<Own> own, Tensor teacher)
    : own_(std::move(own)), backbone_(own_->backbone), heads_(own_->heads), teacher_(std::move(teacher)), parameters_(flat_parameters(backbone_, heads_)) {}

std::unique_ptr<Learner> ScratchLearner::replica() {
  std::unique_ptr<Own> own(new Own{Backbone(backbone_.spec()), Heads(backbone_.spec())});
  std::unique_ptr<ScratchLearner> out(new ScratchLearner(std::move(own), teacher_));
  out->parameters_.share(parameters_);
  return out;
}

Tensor ScratchLearner::loss(const Encoded& part, const Tensor& rows, const Place& place) {
  backbone_.train();
  backbone_.seed_dropout(Random(place.seed, "dropout", place.stream()).next());
  const auto logits = heads_.logits(backbone_.spec().layers, backbone_.pooled(backbone_.deepest(part), part));
  auto loss = torch::nll_loss(torch::log_softmax(logits, 1), part.labels, {}, at::Reduction::Sum);
  if (teacher_.defined()) loss = 0.5 * loss + 0.5 * row_divergence(logits, teacher_.index_select(0, rows), kDistilTemperature).sum();
  return loss / static_cast<double>(place.batch);
}

double ScratchLearner::accuracy(const Encoded& data) { return full_depth_accuracy(backbone_, heads_, data); }

Tensor last_logits(Backbone& backbone, const Heads& heads, const Encoded& data) {
  const ModelSpec& spec = backbone.spec();
  return evaluate_last(backbone, data, spec.classes(),
                       [&](const Encoded& part, const Tensor& h) { return heads.logits(spec.layers, backbone.pooled(h, part)); });
}

double full_depth_accuracy(Backbone& backbone, const Heads& heads, const Encoded& data) {
  return accuracy_of(last_logits(backbone, heads, data), data.labels);
}

}  // namespace fathom::train
