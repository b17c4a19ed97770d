// Packed weights: every linear map of a model in one tier's panel layout, in one contiguous image.
// The image is mapped from <bundle>/packed.fp32.<tier>.bin when that file is whole and was made from these very tensors
// by this very packing; else it is built, and written for the next time if the folder allows it. A damaged file is
// rebuilt, never trusted: header, sizes and a hash of all bytes must agree. Embedding tables stay in the safetensors.
// Layout: header (kHeaderBytes), then for each map of linear_maps() its panels and its bias, each 64-byte aligned.
// Thread rule: immutable once made.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "kernels/table.h"
#include "model/model.h"
#include "model/names.h"
#include "tensor/tensor.h"

namespace fathom::engine {

// y[n] = W[n, k] x + bias, ready for kernels::GemmArgs.
struct Linear {
  const float* packed = nullptr;
  const float* bias = nullptr;
  std::size_t n = 0, k = 0;
};

// One map and where its numbers come from.
struct LinearMap {
  enum class Kind {
    plain,   // prefix.weight [n, k], prefix.bias
    qkv,     // prefix.{query,key,value}: three maps one below the other
    conv,    // prefix.weight [n, channels, taps]: columns reordered to [taps][channels], the order of a row of pixels
    lstm,    // prefix.weight_ih beside prefix.weight_hh, prefix.bias
  };
  Kind kind = Kind::plain;
  std::string prefix;
  std::size_t n = 0, k = 0;
  std::size_t taps = 1;  // conv only
};

// All maps in file order: per layer qkv, o, f1, f2; image: patch projection; with_decision: the shared out, or per exit
// dense (if any) and out (without decision but with_task_head: the last exit's alone); with_decision: extractor proj,
// conv1, conv2; policy init, lstm, out.
std::vector<LinearMap> linear_maps(const ModelSpec& spec, bool with_decision, bool with_task_head);

class PackedWeights {
 public:
  static Result<PackedWeights> make(const Model& model, const kernels::Table& table);
  const Linear& operator[](std::size_t map) const { return linears_[map]; }
  std::size_t size() const { return linears_.size(); }
  bool mapped() const { return !file_.bytes().empty(); }

 private:
  void point(const std::byte* image, const std::vector<LinearMap>& maps, const kernels::Table& table);
  MappedFile file_;           // one of the two holds the image
  Buffer<std::byte> memory_;
  std::vector<Linear> linears_;
};

// packed.fp32.<tier>.bin
std::string packed_name(const kernels::Table& table);

}  // namespace fathom::engine
