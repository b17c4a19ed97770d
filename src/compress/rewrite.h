// What transforms bundle -> bundle share: opening the bundle they read, and writing the one they make: other weights
// and perhaps another shape, everything that does not speak of answers as it was. Thread rule: one call at a time on
// one output folder.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "bundle/bundle.h"
#include "model/input_moments.h"
#include "model/model.h"

namespace fathom::compress {

struct Source {
  std::shared_ptr<const Bundle> bundle;
  std::shared_ptr<const Model> model;  // in fp32
};

// Error: usage, an `out` that is the bundle itself or holds one that no transform made.
Status check_target(const std::filesystem::path& folder, const std::filesystem::path& out);

// With check_target. Errors: unsupported, layers that are not in fp32; corrupt_bundle, a weight that is not finite.
Result<Source> open_source(const std::filesystem::path& folder, const std::filesystem::path& out);

// moments(layer): what that layer (0-based) of the bundle reads on data like that to come; asked once for each layer,
// in order.
using MomentsOf = std::function<Result<InputMoments>(int layer)>;

// The weights' file of a model whose layers are about to have the shapes of `after`: every tensor as float32, under the
// file's own names.
class LayerTensors {
 public:
  LayerTensors(const Model& model, ModelSpec after);
  // `name` as in model/names.h; `values` in the shape that it has in `after`. A tensor that holds several maps takes
  // each at its place.
  void put(const std::string& name, const std::vector<float>& values);
  std::string bytes() const;  // as safetensors

 private:
  struct Tensor {
    std::vector<std::int64_t> shape;
    std::vector<float> values;
  };
  ModelSpec after_;
  Naming naming_;
  std::map<std::string, std::vector<std::int64_t>> wanted_;  // shapes by our names
  std::map<std::string, Tensor> tensors_;                    // by the file's
};

// `files` (name -> bytes) beside what the source has that is neither weights nor a measurement of answers; `fathom` is
// completed with what it was made from and `made`, what the transform did, under `step`.
Status write_made(const Source& source, const std::filesystem::path& out, std::map<std::string, std::string> files,
                  Json fathom, const std::string& step, const Json& made);

// write_made with these tensors as model.safetensors and `after` as the spec; a Hugging Face config.json learns the new
// widths it has words for.
Status write_reshaped(const Source& source, const std::filesystem::path& out, const ModelSpec& after,
                      const LayerTensors& tensors, const std::string& step, const Json& made);

}  // namespace fathom::compress
