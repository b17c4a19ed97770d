#include "train/metrics.h"

#include <fstream>
#include <sstream>

#include "base/file.h"
#include "base/json.h"

namespace fathom::train {
namespace {

constexpr const char* kHeader = "stage,step,name,value\n";

Status append(const fs::path& path, const std::string& text, const char* header) {
  const bool fresh = !fs::exists(path);
  std::ofstream file(path, std::ios::app | std::ios::binary);
  if (fresh) file << header;
  file << text;
  file.flush();
  if (!file) return Error{Code::io, "cannot write " + path.string(), "check space and permissions"};
  return {};
}

// Keeps the lines for which `keep(line)` holds; a last line cut short goes too.
template <class Keep>
Status filter(const fs::path& path, const Keep& keep) {
  if (!fs::exists(path)) return {};
  FATHOM_TRY(const std::string text, read_file(path));
  std::string kept;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = text.find('\n', at);
    if (end == std::string::npos) break;
    const auto line = text.substr(at, end - at);
    if (keep(line)) kept += line + "\n";
    at = end + 1;
  }
  return write_file_atomic(path, kept);
}

}  // namespace

void Metrics::add(const std::string& stage, long step, std::initializer_list<std::pair<const char*, double>> values) {
  if (folder_.empty()) return;
  Json record = {{"stage", stage}, {"step", step}};
  for (const auto& [name, value] : values) {
    record[name] = value;
    csv_ += stage + "," + std::to_string(step) + "," + name + "," + Json(value).dump() + "\n";
  }
  jsonl_ += record.dump() + "\n";
}

Status Metrics::rewind(const std::string& stage, long step) {
  if (folder_.empty()) return {};
  FATHOM_TRY_VOID(filter(folder_ / "metrics.csv", [&](const std::string& line) {
    const std::string prefix = stage + ",";
    return line.compare(0, prefix.size(), prefix) != 0 ||
           std::strtol(line.c_str() + prefix.size(), nullptr, 10) <= step;
  }));
  return filter(folder_ / "metrics.jsonl", [&](const std::string& line) {
    const auto record = parse_json(line, "metrics.jsonl");
    return record.has_value() && (record->value("stage", "") != stage || record->value("step", 0L) <= step);
  });
}

Status Metrics::flush() {
  if (folder_.empty() || jsonl_.empty()) return {};
  FATHOM_TRY_VOID(append(folder_ / "metrics.csv", csv_, kHeader));
  FATHOM_TRY_VOID(append(folder_ / "metrics.jsonl", jsonl_, ""));
  csv_.clear();
  jsonl_.clear();
  return {};
}

}  // namespace fathom::train
