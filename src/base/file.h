// Files read whole, mapped, or replaced atomically: a reader never sees a half-written file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace fathom {

namespace fs = std::filesystem;

// Whole file as bytes. Errors: io (missing, unreadable), limit (larger than max_bytes).
Result<std::string> read_file(const fs::path& path, std::uint64_t max_bytes = std::uint64_t{1} << 34);

// Writes a temporary file beside `path` whose name no other process can have (`path`.tmp-RANDOM, held locked while it
// is written), fsyncs, renames over `path`. On error nothing is left behind, and what a killed process left of earlier
// writes of `path` is removed. A limit on file sizes (RLIMIT_FSIZE) is an error as any other, no signal.
Status write_file_atomic(const fs::path& path, std::string_view bytes);

// How a file's bytes are reached. map: pages of the file itself, which come and go as the system likes; a file that is
// cut short in place while it is mapped kills the process at the next touch (SIGBUS), so files are replaced by rename.
// copy: read into memory of our own, and every read says whether it got what it asked for.
enum class Weights { map, copy };

// A regular file kept open, read-only; with `map` a private mapping of it. Move-only; unmaps and closes in the
// destructor.
class MappedFile {
 public:
  static Result<MappedFile> open(const fs::path& path, Weights how = Weights::map);
  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();
  std::span<const std::byte> bytes() const { return {data_, data_ == nullptr ? 0 : size_}; }  // empty with `copy`
  std::uint64_t size() const { return size_; }                                                // when it was opened
  // Copies bytes [offset, offset + size) without mapping their pages, which would bring their neighbours along (64 KiB
  // on Linux). False where the file no longer gives them. Thread rule: any thread.
  bool read(std::uint64_t offset, std::size_t size, void* to) const;
  bool read(std::span<const std::byte> piece, void* to) const;  // a piece of bytes()

  // Advice to the system about pages. Hints: where they are not taken, only time or memory changes.
  static void use_large_pages(std::span<const std::byte> piece,
                              bool yes);  // yes: fewer page-table walks; no: rows read here and there take less
  static void prefetch(std::span<const std::byte> piece);  // begin to read it from disk, without waiting
  static void populate(std::span<const std::byte> piece);  // read and map it now; returns when it is in memory
  // Unmaps the whole pages inside; they stay in the page cache, or leave it too (`forget`). Reading brings them back.
  static void release(std::span<const std::byte> piece, bool forget);

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  int fd_ = -1;
};

}  // namespace fathom
