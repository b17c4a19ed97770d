#include "model/model.h"

#include "model/names.h"

namespace fathom {
namespace {

Status check_tensors(const std::vector<TensorSpec>& wanted, const SafeTensors& tensors) {
  for (const TensorSpec& want : wanted) {
    const std::string at = "'" + tensors.path().string() + "': tensor '" + want.name + "'";
    const TensorView* got = tensors.find(want.name);
    if (got == nullptr)
      return Error{Code::corrupt_bundle, at + " is missing, expected shape " + shape_text(want.shape),
                   "config.json and the weights do not belong together"};
    if (got->shape != want.shape)
      return Error{Code::corrupt_bundle, at + ": expected shape " + shape_text(want.shape) + ", got " + shape_text(got->shape),
                   "config.json and the weights do not belong together"};
  }
  return {};
}

}  // namespace

Result<std::shared_ptr<const Model>> Model::load(std::shared_ptr<const Bundle> bundle) {
  FATHOM_CHECK(bundle != nullptr, "Model::load needs a bundle");
  auto model = std::make_shared<Model>();
  FATHOM_TRY(model->spec_, spec_from_json(bundle->config(), "'" + (bundle->folder() / "config.json").string() + "'"));
  FATHOM_TRY_VOID(check_tensors(backbone_tensors(model->spec_), *bundle->weights()));
  if (bundle->decision() != nullptr) FATHOM_TRY_VOID(check_tensors(decision_tensors(model->spec_), *bundle->decision()));
  model->backbone_ = bundle->weights();
  model->decision_ = bundle->decision();
  model->bundle_ = std::move(bundle);
  return std::shared_ptr<const Model>(std::move(model));
}

Result<std::shared_ptr<const Model>> Model::backbone_only(ModelSpec spec, std::shared_ptr<const SafeTensors> tensors) {
  FATHOM_CHECK(tensors != nullptr, "Model::backbone_only needs tensors");
  ModelSpec checked = spec;  // a backbone alone has no classes
  if (checked.label_names.empty()) checked.label_names = {"0", "1"};
  FATHOM_TRY_VOID(validate(checked, "'" + tensors->path().string() + "'"));
  FATHOM_TRY_VOID(check_tensors(backbone_tensors(spec), *tensors));
  auto model = std::make_shared<Model>();
  model->spec_ = std::move(spec);
  model->backbone_ = std::move(tensors);
  return std::shared_ptr<const Model>(std::move(model));
}

const float* Model::weight(const std::string& name) const {
  const TensorView* view = backbone_->find(name);
  if (view == nullptr && decision_ != nullptr) view = decision_->find(name);
  FATHOM_CHECK(view != nullptr, "no such weight");
  return view->data;
}

}  // namespace fathom
