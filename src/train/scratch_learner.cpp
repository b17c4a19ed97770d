#include "train/scratch_learner.h"

#include <algorithm>

#include "base/random.h"

namespace fathom::train {
namespace {

using torch::Tensor;

FlatParameters flat_parameters(Backbone& backbone, const Heads& heads) {
  auto all = backbone.parameters();
  for (auto& p : heads.exit_parameters(backbone.spec().layers)) all.push_back(p);
  return FlatParameters(all);
}

Tensor full_depth(Backbone& backbone, const Heads& heads, const Encoded& part) {
  const auto mask = backbone.attention_mask(part);
  auto h = backbone.embed(part);
  const int layers = backbone.spec().layers;
  for (int l = 0; l < layers; ++l) h = backbone.layer(l, h, mask);
  return heads.logits(layers, backbone.pooled(h, part));
}

}  // namespace

ScratchLearner::ScratchLearner(Backbone& backbone, Heads& heads)
    : backbone_(backbone), heads_(heads), parameters_(flat_parameters(backbone, heads)) {}

ScratchLearner::ScratchLearner(std::unique_ptr<Own> own)
    : own_(std::move(own)), backbone_(own_->backbone), heads_(own_->heads), parameters_(flat_parameters(backbone_, heads_)) {}

std::unique_ptr<Learner> ScratchLearner::replica() {
  std::unique_ptr<Own> own(new Own{Backbone(backbone_.spec()), Heads(backbone_.spec())});
  std::unique_ptr<ScratchLearner> out(new ScratchLearner(std::move(own)));
  out->parameters_.share(parameters_);
  return out;
}

Tensor ScratchLearner::loss(const Encoded& part, const Tensor&, const Place& place) {
  backbone_.train();
  backbone_.seed_dropout(Random(place.seed, "dropout", place.stream()).next());
  const auto logits = full_depth(backbone_, heads_, part);
  return torch::nll_loss(torch::log_softmax(logits, 1), part.labels, {}, at::Reduction::Sum) / static_cast<double>(place.batch);
}

double ScratchLearner::accuracy(const Encoded& data) { return full_depth_accuracy(backbone_, heads_, data); }

Tensor last_logits(Backbone& backbone, const Heads& heads, const Encoded& data) {
  torch::NoGradGuard no_grad;
  const bool training = backbone.is_training();
  backbone.eval();
  auto out = torch::empty({data.size(), backbone.spec().classes()});
  for (std::int64_t begin = 0; begin < data.size(); begin += 64) {
    const auto part = data.slice(begin, std::min(data.size(), begin + 64));
    out.narrow(0, begin, part.size()).copy_(full_depth(backbone, heads, part));
  }
  backbone.train(training);
  return out;
}

double full_depth_accuracy(Backbone& backbone, const Heads& heads, const Encoded& data) {
  if (data.size() == 0) return 0;
  return last_logits(backbone, heads, data).argmax(1).eq(data.labels).to(torch::kDouble).mean().item<double>();
}

}  // namespace fathom::train
