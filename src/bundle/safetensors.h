// safetensors read and write, float32 only. Format rules and checks: docs/formats/bundle.md.
// Reader maps the file; views live as long as the SafeTensors. Hostile headers yield corrupt_bundle naming file and tensor.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "tensor/tensor.h"

namespace fathom {

class SafeTensors {
 public:
  static Result<std::shared_ptr<const SafeTensors>> open(const std::filesystem::path& path);
  const TensorView* find(const std::string& name) const;  // null if absent
  const std::map<std::string, TensorView>& all() const { return tensors_; }
  std::span<const std::byte> file_bytes() const { return file_.bytes(); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  MappedFile file_;
  std::map<std::string, TensorView> tensors_;
};

struct NamedTensor {
  std::string name;
  TensorView view;
};
// The file's bytes: header padded to 8 with spaces, tensors in the given order. Same tensors, same bytes.
std::string safetensors_bytes(const std::vector<NamedTensor>& tensors);

}  // namespace fathom
