// How many threads are worth starting here: cores that this process may run on, siblings of one core counted once, and
// no more than what control groups (containers, systemd) let it use. Each of the three is told, for `fathom doctor`.
// The reading of /proc and /sys is a function of a root folder, so that tests can lay out any machine.
// Errors: none; what cannot be read bounds nothing. Thread rule: pure functions.
// Source: sched_setaffinity(2); Linux' Documentation/admin-guide/cgroup-v2.rst (cpu.max) and scheduler/sched-bwc.rst.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace fathom {

struct Cores {
  int cpus = 1;            // logical CPUs in the affinity mask
  int cores = 1;           // physical cores among them
  double share = 0;        // CPUs' worth of time that the tightest control group allows; 0: no bound
  std::string share_from;  // the file that says so
  int threads = 1;         // what to start: the lesser of cores and share, rounded up, at least 1
};

Cores count_cores(const std::vector<int>& allowed, const std::filesystem::path& root = "/");
std::vector<int> allowed_cpus();  // this process's affinity mask, of any length; empty: not told
Cores usable_cores();             // of this process

}  // namespace fathom
