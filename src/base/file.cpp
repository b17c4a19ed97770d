#include "base/file.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <cstring>
#include <random>

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

namespace {

constexpr const char* kTemporary = ".tmp-";

// While it lives, a write past RLIMIT_FSIZE is EFBIG for this thread instead of a signal that kills the process.
class NoFileLimitSignal {
 public:
  NoFileLimitSignal() {
    ::sigemptyset(&limit_);
    ::sigaddset(&limit_, SIGXFSZ);
    ::pthread_sigmask(SIG_BLOCK, &limit_, &before_);
  }
  NoFileLimitSignal(const NoFileLimitSignal&) = delete;
  NoFileLimitSignal& operator=(const NoFileLimitSignal&) = delete;
  ~NoFileLimitSignal() {
    const timespec now{};
    while (::sigismember(&before_, SIGXFSZ) == 0 && ::sigtimedwait(&limit_, nullptr, &now) == SIGXFSZ) {
    }
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  sigset_t limit_, before_;
};

// A new file beside `path`, locked. Who removes what dead processes left locks first as well, so a file that was
// removed between its making and its lock is made again.
Result<std::pair<int, std::string>> make_temporary(const fs::path& path) {
  std::random_device random;
  for (int attempt = 0; attempt < 100; ++attempt) {
    std::string name = path.string() + kTemporary;
    for (int i = 0; i < 8; ++i) name += "abcdefghijklmnopqrstuvwxyz234567"[random() % 32];
    // As mkostemp, but with the permissions that the user's mask gives.
    Descriptor file(::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (file.get() < 0 && errno == EEXIST) continue;
    if (file.get() < 0) return io_error(path, "cannot create a temporary file beside it");
    (void)::flock(file.get(), LOCK_EX | LOCK_NB);  // some file systems have no locks: then nobody removes it either
    struct stat status {};
    if (::fstat(file.get(), &status) != 0 || status.st_nlink == 0) continue;
    return std::pair(file.release(), std::move(name));
  }
  return Error{Code::io, "'" + path.string() + "': no temporary file can be kept beside it", ""};
}

// What processes that were killed left of earlier writes of `path`: nobody holds its lock.
void remove_left_behind(const fs::path& path) {
  const std::string start = path.filename().string() + kTemporary;
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (!it->path().filename().string().starts_with(start)) continue;
    Descriptor file(::open(it->path().c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW));
    if (file.get() >= 0 && ::flock(file.get(), LOCK_EX | LOCK_NB) == 0) ::unlink(it->path().c_str());
  }
}

Status write_all(int fd, std::string_view bytes, const fs::path& path) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(fd, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return io_error(path, "cannot write");
    bytes.remove_prefix(static_cast<std::size_t>(put));
  }
  return {};
}

}  // namespace

Status write_file_atomic(const fs::path& path, std::string_view bytes) {
  const NoFileLimitSignal quiet;
  FATHOM_TRY(auto made, make_temporary(path));
  Descriptor file(made.first);
  Status done = write_all(file.get(), bytes, path);
  // Renamed while the lock is held: a file that lost its lock under its temporary name could be taken for a dead one's.
  if (done && (::fsync(file.get()) != 0 || ::rename(made.second.c_str(), path.c_str()) != 0))
    done = io_error(path, "cannot finish writing");
  if (!done) ::unlink(made.second.c_str());
  remove_left_behind(path);
  return done;
}

Result<MappedFile> MappedFile::open(const fs::path& path, Weights how) {
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return io_error(path, "cannot open");
  FATHOM_TRY(const std::uint64_t size, regular_size(file.get(), path));
  MappedFile opened;
  if (size > 0) {
    if (how == Weights::map) {
      void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
      if (address == MAP_FAILED) return io_error(path, "cannot map");
      opened.data_ = static_cast<const std::byte*>(address);
    }
    opened.size_ = size;
    opened.fd_ = file.release();
  }
  return opened;
}

bool MappedFile::read(std::uint64_t offset, std::size_t size, void* to) const {
  FATHOM_CHECK(offset <= size_ && size <= size_ - offset, "a piece of another file");
  return size == 0 || read_at(fd_, to, size, static_cast<std::ptrdiff_t>(offset)) == static_cast<ssize_t>(size);
}

bool MappedFile::read(std::span<const std::byte> piece, void* to) const {
  return read(static_cast<std::uint64_t>(piece.data() - data_), piece.size(), to);
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
