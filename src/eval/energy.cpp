#include "eval/energy.h"

#include <algorithm>
#include <fstream>
#include <set>

namespace fathom::eval {
namespace {

template <class T>
std::optional<T> read_value(const std::filesystem::path& file) {
  std::ifstream in(file);
  T value{};
  if (in >> value) return value;
  return std::nullopt;
}

}  // namespace

std::uint64_t counted(std::uint64_t before, std::uint64_t after, std::uint64_t range) {
  if (after >= before) return after - before;
  return range >= before ? range - before + after : after;  // a counter above its range was set anew
}

EnergyMeter::EnergyMeter(const std::filesystem::path& root) {
  std::error_code error;
  std::vector<std::filesystem::path> folders;
  for (std::filesystem::directory_iterator it(root, error), end; !error && it != end; it.increment(error))
    folders.push_back(it->path());
  if (error) {
    why_ = "there is no " + root.string();
    return;
  }
  std::sort(folders.begin(), folders.end());  // intel-rapl:0 before intel-rapl-mmio:0 or after, but always the same
  std::set<std::string> seen;
  for (const auto& folder : folders) {
    const auto name = read_value<std::string>(folder / "name");
    if (!name || !name->starts_with("package") || seen.contains(*name)) continue;
    Zone zone{folder / "energy_uj", 0, 0};
    const auto range = read_value<std::uint64_t>(folder / "max_energy_range_uj");
    const auto value = read_value<std::uint64_t>(zone.counter);
    if (!range || !value) continue;
    zone.range = *range;
    seen.insert(*name);
    zones_.push_back(zone);
  }
  if (zones_.empty()) why_ = "no package's counter under " + root.string() + " can be read";
}

void EnergyMeter::start() {
  sample();
  microjoules_ = 0;
}

void EnergyMeter::sample() {
  for (Zone& zone : zones_) {
    const auto value = read_value<std::uint64_t>(zone.counter);
    if (!value) {
      why_ = zone.counter.string() + " could not be read to the end";
      continue;
    }
    microjoules_ += static_cast<double>(counted(zone.last, *value, zone.range));
    zone.last = *value;
  }
}

std::optional<double> EnergyMeter::joules() {
  sample();
  if (!why_.empty()) return std::nullopt;
  return microjoules_ / 1e6;
}

}  // namespace fathom::eval
