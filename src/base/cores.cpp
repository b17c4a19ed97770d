#include "base/cores.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <fstream>
#include <set>
#include <sstream>

namespace fathom {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> lines_of(const fs::path& file) {
  std::ifstream in(file);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, at);) parts.push_back(part);
  return parts;
}

bool lists(const std::string& text, const std::string& word) {
  const auto parts = split(text, ',');
  return std::find(parts.begin(), parts.end(), word) != parts.end();
}

int physical_cores(const std::vector<int>& allowed, const fs::path& root) {
  std::set<std::string> cores;
  for (const int cpu : allowed) {
    const std::string name = "cpu" + std::to_string(cpu);
    const fs::path topology = root / "sys/devices/system/cpu" / name / "topology";
    std::string siblings;
    for (const char* file : {"core_cpus_list", "thread_siblings_list"})  // the same by its new and its old name
      if (const auto lines = lines_of(topology / file); siblings.empty() && !lines.empty()) siblings = lines[0];
    cores.insert(siblings.empty() ? name : siblings);
  }
  return static_cast<int>(cores.size());
}

// Where a hierarchy of control groups can be seen, and which of its groups is at that place.
struct Mount {
  std::string group, point;
};

// "36 35 98:0 GROUP POINT OPTIONS [more] - TYPE SOURCE OPTIONS": the first of this type that has the controller.
bool find_mount(const fs::path& root, const std::string& type, const std::string& controller, Mount& found) {
  for (const std::string& line : lines_of(root / "proc/self/mountinfo")) {
    const auto words = split(line, ' ');
    const auto dash = std::find(words.begin(), words.end(), "-");
    if (words.size() < 6 || words.end() - dash < 4 || dash[1] != type) continue;
    if (!controller.empty() && !lists(dash[3], controller)) continue;
    found = {words[3], words[4]};
    return true;
  }
  return false;
}

// The folder of `group`, and those above it that can be seen, innermost first.
std::vector<fs::path> folders_of(const Mount& mount, const std::string& group, const fs::path& root) {
  const fs::path point = root / fs::path(mount.point).relative_path();
  std::string below;  // of a group that is not under the mount (another namespace's name) only the mount is known
  if (mount.group == "/")
    below = group;
  else if (group.starts_with(mount.group) && (group.size() == mount.group.size() || group[mount.group.size()] == '/'))
    below = group.substr(mount.group.size());
  std::vector<fs::path> folders{point};
  for (const std::string& name : split(below, '/')) {
    if (name.empty() || name == "..") continue;
    folders.push_back(folders.back() / name);
  }
  std::reverse(folders.begin(), folders.end());
  return folders;
}

void take(Cores& out, double quota, double period, const fs::path& from) {
  if (!(quota > 0) || !(period > 0)) return;
  const double share = quota / period;
  if (out.share > 0 && out.share <= share) return;
  out.share = share;
  out.share_from = from.string();
}

double first_number(const fs::path& file) {
  double value = 0;
  std::ifstream(file) >> value;
  return value;
}

void read_groups(Cores& out, const fs::path& root) {
  for (const std::string& line :
       lines_of(root / "proc/self/cgroup")) {  // "ID:CONTROLLERS:GROUP"; version 2: "0::GROUP"
    const std::size_t one = line.find(':'), two = line.find(':', one + 1);
    if (one == std::string::npos || two == std::string::npos) continue;
    const std::string controllers = line.substr(one + 1, two - one - 1), group = line.substr(two + 1);
    Mount mount;
    if (controllers.empty() && find_mount(root, "cgroup2", "", mount)) {
      for (const fs::path& folder : folders_of(mount, group, root)) {
        double quota = 0, period = 0;
        std::ifstream in(folder / "cpu.max");  // "QUOTA PERIOD" in microseconds; "max" for no bound
        if (in >> quota >> period) take(out, quota, period, folder / "cpu.max");
      }
    } else if (lists(controllers, "cpu") && find_mount(root, "cgroup", "cpu", mount)) {
      for (const fs::path& folder : folders_of(mount, group, root))
        take(out, first_number(folder / "cpu.cfs_quota_us"), first_number(folder / "cpu.cfs_period_us"),
             folder / "cpu.cfs_quota_us");  // -1 for no bound
    }
  }
}

}  // namespace

Cores count_cores(const std::vector<int>& allowed, const fs::path& root) {
  Cores out;
  out.cpus = std::max(1, static_cast<int>(allowed.size()));
  out.cores = std::max(1, physical_cores(allowed, root));
  read_groups(out, root);
  out.threads = out.cores;
  if (out.share > 0 && out.share < out.threads) out.threads = std::max(1, static_cast<int>(std::ceil(out.share)));
  return out;
}

std::vector<int> allowed_cpus() {
  std::vector<int> allowed;
  for (int most = CPU_SETSIZE; most <= 1 << 20; most *= 2) {  // the system refuses a mask shorter than its own
    cpu_set_t* set = CPU_ALLOC(static_cast<std::size_t>(most));
    if (set == nullptr) return allowed;
    const std::size_t bytes = CPU_ALLOC_SIZE(static_cast<std::size_t>(most));
    CPU_ZERO_S(bytes, set);
    const bool told = ::sched_getaffinity(0, bytes, set) == 0;
    const bool longer = !told && errno == EINVAL;
    for (int cpu = 0; told && cpu < most; ++cpu)
      if (CPU_ISSET_S(static_cast<std::size_t>(cpu), bytes, set)) allowed.push_back(cpu);
    CPU_FREE(set);
    if (!longer) break;
  }
  return allowed;
}

Cores usable_cores() { return count_cores(allowed_cpus()); }

}  // namespace fathom
