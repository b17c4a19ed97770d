#include "model/model.h"

#include "model/names.h"

namespace fathom {
namespace {

// False where the product passes 63 bits or a dimension is below 0.
bool count_elements(const std::vector<std::int64_t>& shape, std::int64_t& out) {
  out = 1;
  for (const std::int64_t size : shape)
    if (size < 0 || __builtin_mul_overflow(out, size, &out)) return false;
  return true;
}

// Halves of two outputs that are averaged: matrices side by side, biases added.
std::vector<float> join(const TensorSpec& wanted, const TensorView& a, const TensorView& b) {
  std::vector<float> out;
  if (wanted.shape.size() == 1) {
    for (std::int64_t i = 0; i < wanted.shape[0]; ++i) out.push_back(0.5f * (a.data[i] + b.data[i]));
    return out;
  }
  const std::int64_t half = wanted.shape[1] / 2;
  for (std::int64_t row = 0; row < wanted.shape[0]; ++row)
    for (const TensorView* from : {&a, &b})
      for (std::int64_t i = 0; i < half; ++i) out.push_back(0.5f * from->data[row * half + i]);
  return out;
}

// Ours must lie inside the file's tensor, which is as long as its shape says (the file was checked for that): positions
// and offsets come from fathom.json, which may say anything.
Status check_piece(const std::string& at, const TensorSource& source, const std::vector<std::int64_t>& wanted,
                   std::size_t sources) {
  std::int64_t all = 0, ours = 0, end = 0;
  if (!count_elements(source.shape, all) || !count_elements(wanted, ours))
    return Error{Code::corrupt_bundle, at + ": more elements than a file can hold", ""};
  if (sources == 2 && wanted.size() == 2) ours /= 2;  // half of the columns is in each
  if (source.offset >= 0 && !__builtin_add_overflow(source.offset, ours, &end) && end <= all) return {};
  return Error{Code::corrupt_bundle,
               at + " has shape " + shape_text(source.shape) + ", and " + shape_text(wanted) + " from element " +
                   std::to_string(source.offset) + " on reaches past its end",
               "'max_tokens', 'positions' and 'first_position' do not go together; import the checkpoint again"};
}

}  // namespace

const TensorView* find_named(const SafeTensors& tensors, std::string& name) {
  const TensorView* view = tensors.peek(name);
  const auto old = [&](const char* now, const char* then) {
    if (view != nullptr || !name.ends_with(now)) return;
    const std::string other = name.substr(0, name.size() - std::string(now).size()) + then;
    view = tensors.peek(other);
    if (view != nullptr) name = other;
  };
  old("LayerNorm.weight", "LayerNorm.gamma");
  old("LayerNorm.bias", "LayerNorm.beta");
  return view;
}

Status Model::add(const std::vector<TensorSpec>& wanted, const SafeTensors& tensors, const Naming& naming) {
  for (const TensorSpec& want : wanted) {
    std::vector<const TensorView*> views;
    auto sources = sources_of(spec_, naming, want);
    for (TensorSource& source : sources) {
      const std::string at = "'" + tensors.path().string() + "': tensor '" + source.name + "'";
      const TensorView* got = find_named(tensors, source.name);
      if (got == nullptr) {
        const auto unread = tensors.unread().find(source.name);
        if (unread != tensors.unread().end())
          return Error{Code::corrupt_bundle, at + " has dtype " + unread->second + ", expected floats",
                       "convert the file to float32"};
        return Error{Code::corrupt_bundle, at + " is missing, expected shape " + shape_text(source.shape),
                     "config.json and the weights do not belong together"};
      }
      if (got->shape != source.shape)
        return Error{Code::corrupt_bundle,
                     at + ": expected shape " + shape_text(source.shape) + ", got " + shape_text(got->shape),
                     "config.json and the weights do not belong together"};
      FATHOM_TRY_VOID(check_piece(at, source, want.shape, sources.size()));
      views.push_back(got);
    }
    if (views.size() == 1) {
      const std::string& name = sources[0].name;
      weights_[want.name] = {nullptr, &tensors, name, sources[0].offset};
    } else {
      joined_.push_back(join(want, *tensors.find(sources[0].name), *tensors.find(sources[1].name)));
      weights_[want.name] = {joined_.back().data(), nullptr, "", 0};
    }
  }
  return {};
}

Result<std::shared_ptr<const Model>> Model::load(std::shared_ptr<const Bundle> bundle) {
  FATHOM_CHECK(bundle != nullptr, "Model::load needs a bundle");
  auto model = std::make_shared<Model>();
  const Json& fathom = bundle->fathom();
  if (fathom.contains("model")) {
    const std::string where = "'" + (bundle->folder() / "fathom.json").string() + "': 'model'";
    const Json& own = fathom["model"];
    if (!own.is_object() || !own.contains("spec") || !own.contains("names"))
      return Error{Code::corrupt_bundle, where + " must hold 'spec' and 'names'", "import the checkpoint again"};
    FATHOM_TRY(model->spec_, spec_from_json(own["spec"], where + ".spec"));
    FATHOM_TRY(model->naming_, naming_from_json(own["names"], where + ".names"));
  } else {
    FATHOM_TRY(model->spec_, spec_from_json(bundle->config(), "'" + (bundle->folder() / "config.json").string() + "'"));
  }
  if (fathom.contains("precision")) {
    const std::string where = "'" + (bundle->folder() / "fathom.json").string() + "'";
    FATHOM_TRY(const std::string name, json_string(fathom, "precision", where));
    const auto precision = parse_precision(name);
    if (!precision)
      return Error{Code::corrupt_bundle, where + ": " + precision.error().message, precision.error().hint};
    model->precision_ = *precision;
  }
  FATHOM_TRY_VOID(model->add(backbone_tensors(model->spec_), *bundle->weights(), model->naming_));
  FATHOM_TRY_VOID(model->add(task_head_tensors(model->spec_), *bundle->weights(), model->naming_));
  model->has_task_head_ = bundle->decision() != nullptr || model->spec_.task_head != TaskHead::exit;
  if (bundle->decision() != nullptr)
    FATHOM_TRY_VOID(model->add(decision_tensors(model->spec_), *bundle->decision(), {}));
  model->backbone_ = bundle->weights();
  model->decision_ = bundle->decision();
  model->bundle_ = std::move(bundle);
  return std::shared_ptr<const Model>(std::move(model));
}

Result<std::shared_ptr<const Model>> Model::of_checkpoint(ModelSpec spec, const Naming& names,
                                                          std::shared_ptr<const SafeTensors> tensors) {
  FATHOM_CHECK(tensors != nullptr, "Model::of_checkpoint needs tensors");
  FATHOM_TRY_VOID(validate(spec, "'" + tensors->path().string() + "'"));
  auto model = std::make_shared<Model>();
  model->spec_ = std::move(spec);
  model->naming_ = names;
  FATHOM_TRY_VOID(model->add(backbone_tensors(model->spec_), *tensors, names));
  FATHOM_TRY_VOID(model->add(task_head_tensors(model->spec_), *tensors, names));
  model->has_task_head_ = model->spec_.task_head != TaskHead::exit;
  model->backbone_ = std::move(tensors);
  return std::shared_ptr<const Model>(std::move(model));
}

Result<std::shared_ptr<const Model>> Model::backbone_only(ModelSpec spec, std::shared_ptr<const SafeTensors> tensors,
                                                          Precision precision) {
  FATHOM_CHECK(tensors != nullptr, "Model::backbone_only needs tensors");
  ModelSpec checked = spec;  // a backbone alone has no classes
  if (checked.label_names.empty()) checked.label_names = {"0", "1"};
  FATHOM_TRY_VOID(validate(checked, "'" + tensors->path().string() + "'"));
  auto model = std::make_shared<Model>();
  model->spec_ = std::move(spec);
  model->precision_ = precision;
  FATHOM_TRY_VOID(model->add(backbone_tensors(model->spec_), *tensors, {}));
  model->backbone_ = std::move(tensors);
  return std::shared_ptr<const Model>(std::move(model));
}

const float* Model::weight(const std::string& name) const {
  const auto found = weights_.find(name);
  FATHOM_CHECK(found != weights_.end(), "no such weight");
  const Weight& weight = found->second;
  // Widened or copied now, where it has to be.
  return weight.tensors != nullptr ? weight.tensors->find(weight.source)->data + weight.offset : weight.data;
}

bool Model::intact() const { return backbone_->intact() && (decision_ == nullptr || decision_->intact()); }

StoredTable Model::table_of(const std::string& name) const {
  const auto found = weights_.find(name);
  FATHOM_CHECK(found != weights_.end() && found->second.tensors != nullptr, "no such table");
  return found->second.tensors->table_of(found->second.source);
}

}  // namespace fathom
