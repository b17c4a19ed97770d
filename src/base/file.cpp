#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <cstring>

namespace fathom {
namespace {

Error io_error(const fs::path& path, const char* what) {
  const int saved = errno;
  std::string hint;
  if (saved == ENOENT) hint = "check the path";
  if (saved == EACCES) hint = "check the permissions";
  if (saved == ENOSPC) hint = "free some disk space and run again";
  return {Code::io, "'" + path.string() + "': " + what + ": " + std::strerror(saved), hint};
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  int release() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }

 private:
  int fd_;
};

Result<std::uint64_t> regular_size(int fd, const fs::path& path) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return io_error(path, "cannot stat");
  if (!S_ISREG(status.st_mode))
    return Error{Code::io, "'" + path.string() + "': not a regular file", "give the path of a file"};
  return static_cast<std::uint64_t>(status.st_size);
}

// Bytes read from `offset` on: fewer than `size` at the file's end, -1 where it cannot be read (errno says why).
ssize_t read_at(int fd, void* to, std::size_t size, std::ptrdiff_t offset) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t got =
        ::pread(fd, static_cast<std::byte*>(to) + done, size - done, offset + static_cast<std::ptrdiff_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -1;
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return static_cast<ssize_t>(done);
}

}  // namespace

Result<std::string> read_file(const fs::path& path, std::uint64_t max_bytes) {
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return io_error(path, "cannot open");
  FATHOM_TRY(const std::uint64_t size, regular_size(file.get(), path));
  if (size > max_bytes)
    return Error{Code::limit,
                 "'" + path.string() + "': " + std::to_string(size) + " bytes, at most " + std::to_string(max_bytes) +
                     " are read",
                 ""};
  std::string text(size, '\0');
  const ssize_t got = read_at(file.get(), text.data(), text.size(), 0);
  if (got < 0) return io_error(path, "cannot read");
  text.resize(static_cast<std::size_t>(got));
  return text;
}

Status write_file_atomic(const fs::path& path, std::string_view bytes) {
  const fs::path temporary = path.string() + ".tmp-" + std::to_string(::getpid());
  Descriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (file.get() < 0) return io_error(temporary, "cannot create");
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t put = ::write(file.get(), bytes.data() + done, bytes.size() - done);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) {
      const Error error = io_error(path, "cannot write");
      ::unlink(temporary.c_str());
      return error;
    }
    done += static_cast<std::size_t>(put);
  }
  if (::fsync(file.get()) != 0 || ::close(file.release()) != 0 || ::rename(temporary.c_str(), path.c_str()) != 0) {
    const Error error = io_error(path, "cannot finish writing");
    ::unlink(temporary.c_str());
    return error;
  }
  return {};
}

Result<MappedFile> MappedFile::open(const fs::path& path) {
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return io_error(path, "cannot open");
  FATHOM_TRY(const std::uint64_t size, regular_size(file.get(), path));
  MappedFile mapped;
  if (size > 0) {
    void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
    if (address == MAP_FAILED) return io_error(path, "cannot map");
    mapped.data_ = static_cast<const std::byte*>(address);
    mapped.size_ = size;
    mapped.fd_ = file.release();
  }
  return mapped;
}

bool MappedFile::read(std::span<const std::byte> piece, void* to) const {
  FATHOM_CHECK(piece.data() >= data_ && piece.data() + piece.size() <= data_ + size_, "a piece of another file");
  return read_at(fd_, to, piece.size(), piece.data() - data_) == static_cast<ssize_t>(piece.size());
}

namespace {

struct Pages {
  void* begin;
  std::size_t bytes;
};

// The whole pages inside a piece, or (`touching`) all that hold a byte of it.
Pages pages_of(std::span<const std::byte> piece, bool touching) {
  const std::uintptr_t page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const std::uintptr_t first = reinterpret_cast<std::uintptr_t>(piece.data()), last = first + piece.size();
  const std::uintptr_t begin = touching ? first / page * page : (first + page - 1) / page * page;
  const std::uintptr_t end = touching ? (last + page - 1) / page * page : last / page * page;
  return {reinterpret_cast<void*>(begin), end > begin ? end - begin : 0};
}

}  // namespace

void MappedFile::use_large_pages(std::span<const std::byte> piece, bool yes) {
  const Pages pages = pages_of(piece, true);
  if (pages.bytes > 0) ::madvise(pages.begin, pages.bytes, yes ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

void MappedFile::prefetch(std::span<const std::byte> piece) {
  const Pages pages = pages_of(piece, true);
  ::madvise(pages.begin, pages.bytes, MADV_WILLNEED);
}

void MappedFile::populate(std::span<const std::byte> piece) {
  const Pages pages = pages_of(piece, true);
#ifdef MADV_POPULATE_READ
  if (::madvise(pages.begin, pages.bytes, MADV_POPULATE_READ) == 0) return;
#endif
  const std::size_t page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));  // before Linux 5.14: by hand
  const volatile std::byte* at = piece.data();
  for (std::size_t i = 0; i < piece.size(); i += page) (void)at[i];
}

void MappedFile::release(std::span<const std::byte> piece, bool forget) {
  const Pages pages = pages_of(piece, false);
  if (pages.bytes == 0) return;
#ifdef MADV_PAGEOUT
  if (forget) ::madvise(pages.begin, pages.bytes, MADV_PAGEOUT);
#endif
  ::madvise(pages.begin, pages.bytes, MADV_DONTNEED);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      fd_(std::exchange(other.fd_, -1)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(fd_, other.fd_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace fathom
