#include "train/task_head.h"

#include "base/check.h"

namespace fathom::train {

using torch::Tensor;

TaskHeadModule::TaskHeadModule(const ModelSpec& spec)
    : shape_(spec.head_shape(spec.layers)),
      name_("exits." + std::to_string(spec.layers) + "."),
      eps_(spec.layer_norm_eps) {
  FATHOM_CHECK(spec.task_head != TaskHead::exit, "an exit's own form is Heads'");
  const auto parameter = [&](const char* name, std::vector<std::int64_t> sides) {
    return register_parameter(name, torch::zeros(sides));
  };
  if (shape_.norm > 0) {
    norm_w_ = parameter("norm_w", {shape_.norm});
    norm_b_ = parameter("norm_b", {shape_.norm});
  }
  if (shape_.dense > 0) {
    dense_w_ = parameter("dense_w", {shape_.dense, shape_.input});
    dense_b_ = parameter("dense_b", {shape_.dense});
  }
  out_w_ = parameter("out_w", {spec.classes(), shape_.out_input()});
  out_b_ = parameter("out_b", {spec.classes()});
}

Tensor TaskHeadModule::logits(const Tensor& h, const Tensor& keep) const {
  FATHOM_CHECK(shape_.reads != HeadShape::Reads::cls_mean, "no family's classifier reads the mean");
  const bool both = shape_.reads == HeadShape::Reads::first_two;
  Tensor x = both ? h.narrow(1, 0, 2) : h.narrow(1, 0, 1);  // [B, 1 or 2, hidden]
  if (shape_.norm > 0) x = torch::layer_norm(x, {shape_.norm}, norm_w_, norm_b_, eps_);
  x = x.flatten(1);
  if (shape_.dense > 0) {
    x = torch::linear(x, dense_w_, dense_b_);
    x = shape_.activation == HeadActivation::tanh   ? torch::tanh(x)
        : shape_.activation == HeadActivation::relu ? torch::relu(x)
                                                    : torch::gelu(x);
  }
  if (keep.defined()) x = x * keep;
  return torch::linear(x, out_w_, out_b_);
}

std::map<std::string, Tensor> TaskHeadModule::named_weights() const {
  std::map<std::string, Tensor> out;
  const auto put = [&](const char* name, const Tensor& value) {
    if (value.defined()) out[name_ + name] = value.detach();
  };
  put("norm.weight", norm_w_);
  put("norm.bias", norm_b_);
  put("dense.weight", dense_w_);
  put("dense.bias", dense_b_);
  put("out.weight", out_w_);
  put("out.bias", out_b_);
  return out;
}

}  // namespace fathom::train
