// The classifier of a checkpoint in LibTorch, as its family has it (model/spec.h, TaskHead): the same arithmetic as the
// engine's. Thread rule: a module belongs to one thread.
#pragma once

#include <map>
#include <string>

#include "model/spec.h"
#include "train/torch.h"

namespace fathom::train {

class TaskHeadModule : public torch::nn::Module {
 public:
  explicit TaskHeadModule(const ModelSpec& spec);  // spec.task_head != exit
  // h: the last layer's states [B, T, hidden]; keep: dropout mask [B, width] before the last Linear, or undefined. [B,
  // classes]
  torch::Tensor logits(const torch::Tensor& h, const torch::Tensor& keep = {}) const;
  std::int64_t width() const { return shape_.out_input(); }
  // Views of the parameters under the names of model/names.h.
  std::map<std::string, torch::Tensor> named_weights() const;

 private:
  HeadShape shape_;
  std::string name_;  // "exits.L."
  double eps_;
  torch::Tensor norm_w_, norm_b_, dense_w_, dense_b_, out_w_, out_b_;
};

}  // namespace fathom::train
