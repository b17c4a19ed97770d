// A folder of one's own under the system's temporary one, which no other process or container can have (mkdtemp), and
// which goes with its owner. Errors: io. Thread rule: a plain value, move-only.
#pragma once

#include <cstdlib>
#include <string>
#include <utility>

#include "base/file.h"

namespace fathom::eval {

class ScratchFolder {
 public:
  static Result<ScratchFolder> make() {
    std::error_code failed;
    std::string name = (fs::temp_directory_path(failed) / "fathom-XXXXXX").string();
    if (failed || ::mkdtemp(name.data()) == nullptr)
      return Error{Code::io, "'" + name + "': cannot create a temporary folder",
                   "set TMPDIR to one that can be written"};
    return ScratchFolder(std::move(name));
  }
  ScratchFolder(ScratchFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  ScratchFolder& operator=(ScratchFolder&& other) noexcept {
    std::swap(path_, other.path_);
    return *this;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  fs::path operator/(const std::string& name) const { return path_ / name; }

 private:
  explicit ScratchFolder(fs::path path) : path_(std::move(path)) {}
  fs::path path_;
};

}  // namespace fathom::eval
