// Joules that the processor's packages used, from the counters that the system shows (Linux powercap, RAPL).
// A counter counts microjoules up to its own largest value and then begins again: whoever measures longer than the
// fastest counter takes to come round (minutes) calls sample() in between. Zones that are part of a package, that hold
// the whole board (psys), or show a package a second time (rapl-mmio) are left out.
// Errors: none; a counter that cannot be read says why, and joules() is then nothing. Thread rule: one thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace fathom::eval {

// From one reading of a counter to the next: `range` is its largest value, after which it begins at 0.
std::uint64_t counted(std::uint64_t before, std::uint64_t after, std::uint64_t range);

class EnergyMeter {
 public:
  explicit EnergyMeter(const std::filesystem::path& root = "/sys/class/powercap");
  const std::string& why_not() const { return why_; }  // empty: it can be measured
  void start();                                        // from now on
  void sample();
  std::optional<double> joules();  // since start()

 private:
  struct Zone {
    std::filesystem::path counter;
    std::uint64_t range = 0, last = 0;
  };
  std::vector<Zone> zones_;
  double microjoules_ = 0;
  std::string why_;
};

}  // namespace fathom::eval
