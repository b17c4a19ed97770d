// Model: an immutable spec plus views of its weights, and the bundle that keeps them alive.
// Shared as shared_ptr<const Model>; every tensor's presence, dtype and shape was checked when it was made.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/precision.h"
#include "bundle/bundle.h"
#include "model/naming.h"
#include "model/spec.h"
#include "tensor/tensor.h"

namespace fathom {

// The file's tensor of that name, without its values (SafeTensors::peek); very old BERT files call a LayerNorm's weight
// and bias gamma and beta: `name` becomes what the file says. Null if absent.
const TensorView* find_named(const SafeTensors& tensors, std::string& name);

class Model {
 public:
  // The spec: fathom.json's "model" of an imported checkpoint, whose config.json is its own, else config.json.
  // Checks all tensors of names.h (those of fathom.safetensors if the bundle has it).
  static Result<std::shared_ptr<const Model>> load(std::shared_ptr<const Bundle> bundle);
  // A backbone alone (no heads, no policy), for engines benchmarks: weights of `tensors` under HF names.
  static Result<std::shared_ptr<const Model>> backbone_only(ModelSpec spec, std::shared_ptr<const SafeTensors> tensors,
                                                            Precision precision = Precision::fp32);

  const ModelSpec& spec() const { return spec_; }
  Precision precision() const { return precision_; }  // of the layers; fathom.json "precision", else fp32
  // A checkpoint's weights under its own names; `names` as model/hugging_face.h read it.
  static Result<std::shared_ptr<const Model>> of_checkpoint(ModelSpec spec, const Naming& names,
                                                            std::shared_ptr<const SafeTensors> tensors);

  const Naming& naming() const { return naming_; }
  bool has_decision() const { return decision_ != nullptr; }  // heads, extractor, policy present
  bool has_task_head() const { return has_task_head_; }       // the last head, the checkpoint's own or a decision's
  // Data of a tensor named as in names.h; FATHOM_CHECK if absent (all were checked at load). Half-precision tensors are
  // widened when they are first asked for. Thread rule: any thread.
  const float* weight(const std::string& name) const;
  StoredTable table_of(
      const std::string& name) const;  // a backbone's table that is one tensor of the file, as that holds it
  bool intact() const;                 // false: a file gave fewer bytes than when it was opened
  const Bundle* bundle() const { return bundle_.get(); }  // null for backbone_only

 private:
  Status add(const std::vector<TensorSpec>& wanted, const SafeTensors& tensors, const Naming& naming);

  ModelSpec spec_;
  Precision precision_ = Precision::fp32;
  Naming naming_;
  std::shared_ptr<const Bundle> bundle_;
  std::shared_ptr<const SafeTensors> backbone_, decision_;
  struct Weight {
    const float* data = nullptr;           // joined from two
    const SafeTensors* tensors = nullptr;  // else: they hold it as `source`, from element `offset` on
    std::string source;
    std::int64_t offset = 0;
  };
  std::unordered_map<std::string, Weight> weights_;
  std::vector<std::vector<float>> joined_;  // tensors made of two
  bool has_task_head_ = false;
};

}  // namespace fathom
