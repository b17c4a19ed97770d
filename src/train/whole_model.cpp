#include "train/whole_model.h"

#include "bundle/bundle.h"

namespace fathom::train {

using torch::Tensor;

WholeModel::WholeModel(const ModelSpec& spec, bool exits)
    : exits_(exits),
      backbone_(spec),
      heads_(spec),
      task_head_(spec.task_head == TaskHead::exit ? nullptr : std::make_unique<TaskHeadModule>(spec)) {
  if (spec.modality == Modality::text) backbone_.freeze_embeddings();
}

WholeModel::WholeModel(const fathom::Model& model) : WholeModel(model.spec(), model.has_decision()) {
  torch::NoGradGuard no_grad;
  auto all = own_weights();
  all.merge(exit_weights());
  for (auto& [name, tensor] : all)
    tensor.copy_(torch::from_blob(const_cast<float*>(model.weight(name)), tensor.sizes(), torch::kFloat));
}

void WholeModel::copy_from(const WholeModel& other) {
  torch::NoGradGuard no_grad;
  auto from = other.own_weights(), to = own_weights();
  from.merge(other.exit_weights());
  to.merge(exit_weights());
  for (auto& [name, tensor] : to) tensor.copy_(from.at(name));
}

Tensor WholeModel::last_logits(const Tensor& h, const Encoded& part) const {
  return task_head_ ? task_head_->logits(h) : heads_.logits(spec().layers, backbone_.pooled(h, part));
}

WholeModel::Pass WholeModel::run(const Encoded& part) {
  Pass out;
  const auto mask = backbone_.attention_mask(part);
  auto h = backbone_.embed(part);
  for (int l = 0; l < spec().layers; ++l) {
    h = backbone_.layer(l, h, mask);
    out.states.push_back(h);
    if (l + 1 < spec().layers && exits_) out.logits.push_back(heads_.logits(l + 1, backbone_.pooled(h, part)));
  }
  out.logits.push_back(last_logits(h, part));
  return out;
}

Tensor WholeModel::logits(const Encoded& data) {
  return evaluate_last(backbone_, data, spec().classes(),
                       [&](const Encoded& part, const Tensor& h) { return last_logits(h, part); });
}

std::vector<Tensor> WholeModel::parameters() const {
  std::vector<Tensor> out;
  for (const auto& p : backbone_.parameters())
    if (p.requires_grad()) out.push_back(p);
  if (task_head_)
    for (const auto& p : task_head_->parameters()) out.push_back(p);
  if (exits_)
    for (const auto& p : heads_.parameters()) out.push_back(p);
  return out;
}

std::map<std::string, Tensor> WholeModel::own_weights() const {
  auto out = backbone_.named_weights();
  if (task_head_) out.merge(task_head_->named_weights());
  return out;
}

std::map<std::string, Tensor> WholeModel::exit_weights() const {
  return exits_ ? heads_.named_weights() : std::map<std::string, Tensor>();
}

std::vector<Tensor> WholeModel::layer_matrices() const {
  std::vector<Tensor> out;
  for (const auto& [name, weight] : own_weights())
    if (name.starts_with("encoder.") && weight.dim() == 2) out.push_back(weight);
  return out;
}

Result<std::shared_ptr<const fathom::Model>> open_model(const std::filesystem::path& folder) {
  FATHOM_TRY(const auto bundle, Bundle::open(folder));
  FATHOM_TRY(const auto model, fathom::Model::load(bundle));
  if (model->precision() == Precision::int8)
    return Error{Code::unsupported,
                 "bundle '" + folder.string() + "' has its layers in int8, which are not trained with",
                 "give the bundle it was made from"};
  return model;
}

}  // namespace fathom::train
