#include "train/scratch_learner.h"

#include "base/random.h"
#include "train/heads.h"

namespace fathom::train {
namespace {

using torch::Tensor;

FlatParameters flat_parameters(Backbone& backbone, const Heads& heads, const LayerDistillation* layers) {
  auto all = backbone.parameters();
  for (auto& p : heads.exit_parameters(backbone.spec().layers)) all.push_back(p);
  if (layers != nullptr)
    for (auto& p : layers->parameters()) all.push_back(p);
  return FlatParameters(all);
}

}  // namespace

ScratchLearner::ScratchLearner(Backbone& backbone, Heads& heads, Tensor teacher,
                               std::shared_ptr<LayerDistillation> layers)
    : backbone_(backbone),
      heads_(heads),
      teacher_(std::move(teacher)),
      layers_(std::move(layers)),
      parameters_(flat_parameters(backbone, heads, layers_.get())) {}

ScratchLearner::ScratchLearner(std::unique_ptr<Own> own, const ScratchLearner& other)
    : own_(std::move(own)),
      backbone_(own_->backbone),
      heads_(own_->heads),
      teacher_(other.teacher_),
      layers_(other.layers_ ? other.layers_->replica() : nullptr),
      parameters_(flat_parameters(backbone_, heads_, layers_.get())) {}

std::unique_ptr<Learner> ScratchLearner::replica() {
  std::unique_ptr<Own> own(new Own{Backbone(backbone_.spec()), Heads(backbone_.spec())});
  std::unique_ptr<ScratchLearner> out(new ScratchLearner(std::move(own), *this));
  out->parameters_.share(parameters_);
  return out;
}

Tensor ScratchLearner::loss(const Encoded& part, const Tensor& rows, const Place& place) {
  backbone_.train();
  backbone_.seed_dropout(Random(place.seed, "dropout", place.stream()).next());
  const std::vector<Tensor> states =
      layers_ ? all_states(backbone_, part) : std::vector<Tensor>{backbone_.deepest(part)};
  const auto logits = heads_.logits(backbone_.spec().layers, backbone_.pooled(states.back(), part));
  auto loss = torch::nll_loss(torch::log_softmax(logits, 1), part.labels, {}, at::Reduction::Sum);
  if (teacher_.defined())
    loss = 0.5 * loss + 0.5 * row_divergence(logits, teacher_.index_select(0, rows), kDistilTemperature).sum();
  if (layers_) loss = loss + layers_->loss(backbone_, states, part);
  return loss / static_cast<double>(place.batch);
}

double ScratchLearner::accuracy(const Encoded& data) { return full_depth_accuracy(backbone_, heads_, data); }

Tensor last_logits(Backbone& backbone, const Heads& heads, const Encoded& data) {
  const ModelSpec& spec = backbone.spec();
  return evaluate_last(backbone, data, spec.classes(), [&](const Encoded& part, const Tensor& h) {
    return heads.logits(spec.layers, backbone.pooled(h, part));
  });
}

double full_depth_accuracy(Backbone& backbone, const Heads& heads, const Encoded& data) {
  return accuracy_of(last_logits(backbone, heads, data), data.labels);
}

}  // namespace fathom::train
