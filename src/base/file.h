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

// Writes `path`.tmp-<pid>, fsyncs, renames over `path`. On error nothing is left behind.
Status write_file_atomic(const fs::path& path, std::string_view bytes);

// Read-only private mapping of a regular file, kept open. Move-only; unmaps and closes in the destructor.
class MappedFile {
 public:
  static Result<MappedFile> open(const fs::path& path);
  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  // Copies a piece of bytes() without mapping its pages, which would bring their neighbours along (64 KiB on Linux).
  // False where the file no longer gives them. Thread rule: any thread.
  bool read(std::span<const std::byte> piece, void* to) const;

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
