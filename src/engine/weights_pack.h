// Packed weights: all that a Plan reads while it runs, in one tier's layout and in the order in which a forward pass
// needs it, as one contiguous image: a layer's maps and norms lie together, so a layer that does not run is never read.
// The image is mapped from <bundle>/packed.<precision>.<tier>.bin (or read into memory) when its header says that it is
// whole and was made from these very tensors by this very packing; else it is built, from weights whose SHA-256 is the
// one that the bundle lists, and written for the next time if the folder allows it. The header holds a quick hash of
// every entry; whoever is the first to use one has it compared (parts.h), so bytes that changed on disk are an error
// and never another answer, and pages that nobody uses stay unread. No offset comes from the file: all are computed
// from the spec, and the file's size is checked against them. A large word table stays in the safetensors, where rows
// are read one by one; the image holds a hash of each row. Layout: header and hashes (whole pages), then for each entry
// of packed_entries() its numbers and its bias, each 64-byte aligned. Thread rule: immutable once made.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "kernels/table.h"
#include "model/model.h"
#include "model/names.h"
#include "tensor/tensor.h"

namespace fathom::engine {

// y[n] = W[n, k] x + bias, ready for kernels::GemmArgs. Of a norm: gamma and beta; of a table: its rows, no bias.
struct Linear {
  const void* packed = nullptr;
  const float* bias = nullptr;
  std::size_t n = 0, k = 0;
  Precision precision = Precision::fp32;
  const float* floats() const { return static_cast<const float*>(packed); }  // of a norm or a table
};

// One map, norm or table, and where its numbers come from.
struct PackedEntry {
  enum class Kind {
    plain,   // prefix.weight [n, k], prefix.bias
    factor,  // prefix.weight [n, k], no bias
    qkv,     // prefix.{query,key,value}: of every head its rows of the three, the order that attention reads
    conv,    // prefix.weight [n, channels, taps]: columns reordered to [taps][channels], the order of a row of pixels
    lstm,    // prefix.weight_ih beside prefix.weight_hh, prefix.bias
    norm,    // prefix.weight [n], prefix.bias: as they are
    table,   // the tensor `prefix`, its first n rows of k: as they are
    checks,  // a quick hash of each of the n rows of the table `prefix`, as its file holds them
  };
  Kind kind = Kind::plain;
  std::string prefix;
  std::size_t n = 0, k = 0;
  std::size_t taps = 1;  // conv only
  Precision precision = Precision::fp32;
  std::size_t heads = 0;  // qkv only
};

enum class Words { none, here, rows };  // no texts; a small table, packed; one whose rows are read from its file

struct PackedScope {
  bool decision = false;                  // exits, extractor, policy
  bool task_head = false;                 // the last head
  Precision precision = Precision::fp32;  // of the layers' maps and the patch projection
  Words words = Words::none;              // rows: their hashes are packed, if the bundle vouches for the table
};

// All entries in file order: embedding (text: a small word table, or the hashes of a large one's rows; projection of
// word rows if there is one, positions, token types, post-LN's norm; image: patch projection, CLS and distillation
// token, positions); factors that all layers share, qkv to f2; where heads are shared, their out; per layer qkv, o,
// first norm, f1, f2, second norm, each map behind a factor of its own, then of its exit (with task_head alone: of the
// last one) norm, dense (if any) and out; with decision: extractor proj, conv1, conv2; policy init, lstm, out.
std::vector<PackedEntry> packed_entries(const ModelSpec& spec, const PackedScope& scope);

// How the image is held, and whether what is held is compared with its hashes.
struct PackedUse {
  Weights weights = Weights::map;
  bool trust = false;
};

class PackedWeights {
 public:
  static Result<PackedWeights> make(const Model& model, const kernels::Table& table, const PackedUse& use = {});
  const Linear& operator[](std::size_t entry) const { return linears_[entry]; }
  PackedEntry::Kind kind(std::size_t entry) const { return kinds_[entry]; }
  std::size_t size() const { return linears_.size(); }
  bool mapped() const { return !file_.bytes().empty(); }
  std::size_t bytes_before(std::size_t entry) const {
    return ends_[entry];
  }  // of the entries before it; size(): of all
  std::span<const std::byte> piece(std::size_t first, std::size_t end) const;  // entries [first, end) in memory
  // Compares entries [first, end) with their hashes. Error: corrupt_bundle; the file that is not what was written is
  // removed, so that the next start packs it again.
  Status check(std::size_t first, std::size_t end) const;

 private:
  bool use_file(const std::filesystem::path& path, const struct PackedImage& image, const PackedUse& use);
  void point(const struct PackedImage& image, const kernels::Table& table);
  MappedFile file_;  // one of the two holds the image
  Buffer<std::byte> memory_;
  std::size_t payload_ = 0;            // where the entries begin in it
  std::filesystem::path path_;         // of the file that it came from; empty: made by this process, nothing to check
  std::vector<std::uint64_t> checks_;  // of each entry
  std::vector<std::string> prefixes_;
  std::vector<PackedEntry::Kind> kinds_;
  std::vector<Linear> linears_;
  std::vector<std::size_t> ends_;  // [size() + 1]
};

// packed.<precision>.<tier>.bin
std::string packed_name(Precision precision, const kernels::Table& table);

// A bundle's packed files, checked: every byte hashed and, for tiers that this CPU has, compared with the model's
// weights packed anew. A file whose header does not fit is not used by any start and is only named.
struct PackedCheck {
  std::string name;
  bool used = false;  // a start would map it; false: left over from other weights or an older version
};
// Errors: corrupt_bundle naming the file that a start would trust and that is damaged.
Result<std::vector<PackedCheck>> verify_packed(const Model& model);

}  // namespace fathom::engine
