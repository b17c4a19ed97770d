// Model: an immutable spec plus views of its weights, and the bundle that keeps them alive.
// Shared as shared_ptr<const Model>; every tensor's presence, dtype and shape was checked when it was made.
#pragma once

#include <memory>

#include "bundle/bundle.h"
#include "model/spec.h"
#include "tensor/tensor.h"

namespace fathom {

class Model {
 public:
  // Reads config.json's spec and checks all tensors of names.h (those of fathom.safetensors if the bundle has it).
  static Result<std::shared_ptr<const Model>> load(std::shared_ptr<const Bundle> bundle);
  // A backbone alone (no heads, no policy), for engines benchmarks: weights of `tensors` under HF names.
  static Result<std::shared_ptr<const Model>> backbone_only(ModelSpec spec, std::shared_ptr<const SafeTensors> tensors);

  const ModelSpec& spec() const { return spec_; }
  bool has_decision() const { return decision_ != nullptr; }  // heads, extractor, policy present
  // Data of a tensor named as in names.h; FATHOM_CHECK if absent (all were checked at load).
  const float* weight(const std::string& name) const;
  const Bundle* bundle() const { return bundle_.get(); }  // null for backbone_only

 private:
  ModelSpec spec_;
  std::shared_ptr<const Bundle> bundle_;
  std::shared_ptr<const SafeTensors> backbone_, decision_;
};

}  // namespace fathom
