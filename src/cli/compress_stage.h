// Where the steps of `fathom compress` write until all of them are done: beside the folder to make, so that an
// interrupted run leaves that as it was. Thread rule: one run at a time on one output folder.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <system_error>

#include "base/file.h"
#include "base/result.h"
#include "bundle/bundle.h"

namespace fathom::cli {

inline Status copy_bundle(const fs::path& from, const fs::path& to) {
  FATHOM_TRY(const auto bundle, Bundle::open(from));
  std::map<std::string, fs::path> files;
  for (const auto& [name, entry] : bundle->fathom()["files"].items()) files[name] = from / name;
  return write_bundle(to, {}, bundle->fathom(), files);
}

class Stage {
 public:
  explicit Stage(const fs::path& out)
      : out_(out.has_filename() ? out : out.parent_path()), folder_(out_.string() + ".part") {
    clear();
  }
  ~Stage() { clear(); }
  const fs::path& last() const { return last_; }
  fs::path next() { return last_ = folder_ / std::to_string(++steps_); }
  fs::path training() const {
    return folder_ / "training";
  }  // outlives an interruption: the same steps give the same model to go on with

  // What the last step wrote becomes the folder to make.
  Status finish() const {
    std::error_code error;
    if (!fs::exists(out_, error)) fs::rename(last_, out_, error);
    if (!fs::exists(out_, error) || fs::exists(last_, error)) FATHOM_TRY_VOID(copy_bundle(last_, out_));
    fs::remove_all(training(), error);  // has served, whichever run it was of
    return {};
  }

 private:
  void
  clear() {  // what steps write, now or in a run that was interrupted; the folder too unless something else lies in it
    std::error_code ignored;
    for (int step = 1; step <= kMostSteps; ++step) fs::remove_all(folder_ / std::to_string(step), ignored);
    fs::remove(folder_, ignored);
  }
  static constexpr int kMostSteps = 4;
  fs::path out_, folder_, last_;
  int steps_ = 0;
};

}  // namespace fathom::cli
