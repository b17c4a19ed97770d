// safetensors read and write. Every tensor comes out as float32: F32 is mapped as it lies; F16 and BF16 are widened
// once (exactly) when find() first asks for them, so is I8 beside a tensor NAME.scale, F32, one for each row, and F32
// that lies unaligned, or is not to be mapped, is copied then. Tensors of any other dtype are checked, listed and not
// read: checkpoints carry such buffers. Format rules, checks and limits: docs/formats/bundle.md. Views live as long as
// the SafeTensors. Errors: corrupt_bundle naming file and tensor, whatever the header says. Memory and time grow with
// the header alone. Thread rule: immutable once opened; find() may be called from any thread.
#pragma once

#include <atomic>
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
  static Result<std::shared_ptr<const SafeTensors>> open(const std::filesystem::path& path, Weights how = Weights::map);
  // A checkpoint in several files: `index` is its model.safetensors.index.json ("weight_map": tensor -> file beside
  // it).
  static Result<std::shared_ptr<const SafeTensors>> open_sharded(const std::filesystem::path& index,
                                                                 Weights how = Weights::map);
  // File names an index lists, sorted; the same checks as open_sharded's.
  static Result<std::vector<std::string>> shards_of(const std::filesystem::path& index);
  const TensorView* find(const std::string& name) const;  // null if absent
  // Shape alone, at no cost in memory: `data` is null where find() would have to copy or widen.
  const TensorView* peek(const std::string& name) const;
  const std::map<std::string, TensorView>& all() const { return tensors_; }  // as peek()
  // False: a file gave fewer bytes than when it was opened, so that a tensor of find() is not what it was.
  bool intact() const;
  StoredTable table_of(
      const std::string& name) const;  // a tensor of all() as its file holds it, by its first dimension
  const std::map<std::string, std::string>& unread() const { return unread_; }  // name -> dtype of tensors left out
  std::span<const std::byte> file_bytes() const { return file_.bytes(); }       // empty where nothing is mapped
  const std::filesystem::path& path() const { return path_; }

 private:
  struct Copied {  // a tensor that cannot be used as it lies
    std::uint64_t offset = 0;
    Stored type = Stored::f32;
    std::vector<float> scale;  // I8: of each row
    std::once_flag once;
    Buffer<float> values;
    TensorView view;
    bool failed = false;
  };
  void fill(const std::string& name, Copied& tensor) const;

  std::filesystem::path path_;
  MappedFile file_;
  std::map<std::string, TensorView> tensors_;
  std::map<std::string, std::uint64_t> offsets_;  // of tensors_, in the file
  std::map<std::string, std::string> unread_;
  std::map<std::string, std::shared_ptr<Copied>> copied_;
  mutable std::atomic<bool> failed_ = false;
  std::vector<std::shared_ptr<const SafeTensors>> shards_;  // open_sharded: what the views point into
  std::map<std::string, const SafeTensors*> shard_of_;
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
