// Talk goes to stderr; stdout belongs to data. Nothing in the library prints except through here,
// and only verbs (cli, train) call it.
#pragma once

#include <string>

namespace fathom {

void say(const std::string& line);   // a line of progress or fact
void warn(const std::string& line);  // "warning: ..."

// A progress bar on a terminal; elsewhere one plain line at most every 10 s. Stderr only.
class Progress {
 public:
  Progress(std::string title, long total);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void update(long done, const std::string& facts = "");

 private:
  std::string title_;
  long total_;
  double started_;
  double shown_ = -1e9;
  bool terminal_;
  bool drawn_ = false;
};

double seconds_now();  // monotonic clock

}  // namespace fathom
