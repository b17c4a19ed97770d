// Tests only: what of a file this process has in memory.
#pragma once

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace fathom::testing {

// Bytes of resident pages of all mappings of `file`, from /proc/self/smaps.
inline std::size_t mapped_bytes(const std::filesystem::path& file) {
  std::ifstream maps("/proc/self/smaps");
  bool ours = false;
  std::size_t kilobytes = 0;
  for (std::string line; std::getline(maps, line);) {
    if (line.find('-') < line.find(' ')) ours = line.ends_with(file.string());
    std::istringstream words(line);
    std::string name;
    std::size_t value = 0;
    if (ours && words >> name >> value && name == "Rss:") kilobytes += value;
  }
  return kilobytes * 1024;
}

}  // namespace fathom::testing
