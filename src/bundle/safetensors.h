// safetensors read and write. Every tensor comes out as float32: F32 is mapped as it lies, F16 and BF16 are widened
// once (exactly) when find() first asks for them, and so is I8 beside a tensor NAME.scale, F32, one for each row. Other
// integer and boolean tensors are checked and listed, not read: old checkpoints carry such buffers. Format rules and
// checks: docs/formats/bundle.md. Views live as long as the SafeTensors. Errors: corrupt_bundle naming file and tensor,
// whatever the header says; unsupported for other dtypes. Thread rule: immutable once opened; find() may be called from
// any thread.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "bundle/stored_table.h"
#include "tensor/tensor.h"

namespace fathom {

class SafeTensors {
 public:
  static Result<std::shared_ptr<const SafeTensors>> open(const std::filesystem::path& path);
  // A checkpoint in several files: `index` is its model.safetensors.index.json ("weight_map": tensor -> file beside
  // it).
  static Result<std::shared_ptr<const SafeTensors>> open_sharded(const std::filesystem::path& index);
  // File names an index lists, sorted; the same checks as open_sharded's.
  static Result<std::vector<std::string>> shards_of(const std::filesystem::path& index);
  const TensorView* find(const std::string& name) const;  // null if absent
  // The same without the values of a tensor that is yet to be widened: shapes and addresses, at no cost in memory.
  const TensorView* peek(const std::string& name) const;
  const std::map<std::string, TensorView>& all() const { return tensors_; }  // as peek()
  StoredTable table_of(
      const std::string& name) const;  // a tensor of all() as its file holds it, by its first dimension
  const std::map<std::string, std::string>& unread() const { return unread_; }  // name -> dtype of tensors left out
  std::span<const std::byte> file_bytes() const { return file_.bytes(); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  MappedFile file_;
  std::map<std::string, TensorView> tensors_;
  std::map<std::string, std::string> unread_;
  struct Widened {  // a tensor that cannot be mapped as it lies
    Buffer<float> values;
    const std::byte* from = nullptr;
    Stored type = Stored::f32;
    std::vector<float> scale;  // I8: of each row
    std::once_flag once;
  };
  std::map<std::string, std::shared_ptr<Widened>> widened_;
  std::vector<std::shared_ptr<const SafeTensors>> shards_;  // open_sharded: what the views point into
};

struct NamedTensor {
  std::string name;
  TensorView view;
};
struct StoredTensor {
  std::string name, dtype;  // F32, BF16, I8
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;
};
// The file's bytes: header padded to 8 with spaces, tensors in the given order. Same tensors, same bytes.
std::string safetensors_bytes(const std::vector<StoredTensor>& tensors);
std::string safetensors_bytes(const std::vector<NamedTensor>& tensors);  // all F32

}  // namespace fathom
