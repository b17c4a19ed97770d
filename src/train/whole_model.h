// A bundle's model in LibTorch with all that answers: backbone, exits, and the checkpoint's own classifier where it has
// one. Thread rule: a module belongs to one thread; in evaluation mode and without gradients any number of threads may
// run it.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "model/model.h"
#include "train/backbone.h"
#include "train/task_head.h"

namespace fathom::train {

class WholeModel {
 public:
  WholeModel(const ModelSpec& spec, bool exits);  // random weights; exits: those before the last layer too
  explicit WholeModel(const fathom::Model& model);

  struct Pass {
    std::vector<torch::Tensor> states;  // after each layer, [B, T, hidden]
    std::vector<torch::Tensor> logits;  // of each exit, [B, classes]; without exits the last alone
  };
  Pass run(const Encoded& part);
  torch::Tensor logits(const Encoded& data);  // of the last exit, [n, classes], evaluation mode

  void copy_from(const WholeModel& other);  // of the same spec: its weights

  Backbone& backbone() { return backbone_; }
  const ModelSpec& spec() const { return backbone_.spec(); }
  bool has_exits() const { return exits_; }
  std::vector<torch::Tensor> parameters() const;  // that learn
  // Views of the weights by the names of model/names.h: those of model.safetensors, and the exits' in
  // fathom.safetensors.
  std::map<std::string, torch::Tensor> own_weights() const;
  std::map<std::string, torch::Tensor> exit_weights() const;
  std::vector<torch::Tensor> layer_matrices() const;  // those of own_weights() that are the layers' maps

 private:
  torch::Tensor last_logits(const torch::Tensor& h, const Encoded& part) const;
  bool exits_;
  Backbone backbone_;
  Heads heads_;
  std::unique_ptr<TaskHeadModule> task_head_;  // null: the last exit is one of heads_
};

// The model of a bundle whose layers have weights that LibTorch reads. Error: unsupported, they are in int8.
Result<std::shared_ptr<const fathom::Model>> open_model(const std::filesystem::path& bundle);

}  // namespace fathom::train
