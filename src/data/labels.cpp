#include "data/labels.h"

#include <algorithm>
#include <set>

#include "data/columns.h"

namespace fathom::data {
namespace {

constexpr std::size_t kMaxClasses = 1000;

std::string trimmed(const std::string& text) {
  const auto begin = text.find_first_not_of(" \t\r\n");
  return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

std::string canonical(const std::string& value) {  // "01" and " 1" are 1
  const std::string plain = trimmed(value);
  return is_integer(plain) ? std::to_string(std::stoll(plain)) : plain;
}

Error fault(const std::string& where, const std::string& what, const std::string& hint = "") {
  return {Code::bad_input, where + ": " + what, hint};
}

}  // namespace

Result<LabelMap> LabelMap::make(const std::vector<std::string>& values, const std::vector<std::string>& names,
                                const std::string& where) {
  std::set<std::string> distinct;
  for (const std::string& value : values) {
    distinct.insert(canonical(value));
    if (distinct.size() > kMaxClasses)
      return fault(where, "more than 1000 distinct labels", "choose the label column with --label-column");
  }
  if (distinct.size() < 2)
    return fault(where, "all rows have the same label", "give training data with at least two classes");
  if (distinct.count("") > 0) return fault(where, "a row has an empty label", "give every row a label");
  std::vector<std::string> sorted(distinct.begin(), distinct.end());
  const bool numeric = std::all_of(sorted.begin(), sorted.end(), is_integer);
  if (numeric)
    std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return std::stoll(a) < std::stoll(b); });

  LabelMap map;
  map.names_ = names.empty() ? sorted : names;
  const bool by_name = std::all_of(sorted.begin(), sorted.end(), [&](const auto& v) {
    return std::find(names.begin(), names.end(), v) != names.end();
  });
  const auto count = static_cast<long long>(names.size());
  const long long base =
      numeric && !names.empty() && std::stoll(sorted.back()) == count && std::stoll(sorted.front()) >= 1 ? 1 : 0;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    long long index = static_cast<long long>(i);
    if (by_name && !names.empty()) {
      index = std::find(names.begin(), names.end(), sorted[i]) - names.begin();
    } else if (!names.empty()) {
      index = numeric ? std::stoll(sorted[i]) - base : -1;
      if (index < 0 || index >= count)
        return fault(where, "label '" + sorted[i] + "' fits none of the " + std::to_string(count) + " class names",
                     "correct the list of class names or the labels");
    }
    map.index_[sorted[i]] = static_cast<std::int32_t>(index);
  }
  return map;
}

std::int32_t LabelMap::find(const std::string& value) const {
  const auto found = index_.find(canonical(value));
  return found == index_.end() ? -1 : found->second;
}

std::string LabelMap::known() const {
  std::vector<std::pair<std::int32_t, std::string>> values;
  for (const auto& [value, index] : index_) values.emplace_back(index, value);
  std::sort(values.begin(), values.end());
  std::string list;
  for (std::size_t i = 0; i < values.size() && i < 12; ++i) list += (i ? ", '" : "'") + values[i].second + "'";
  return values.size() > 12 ? list + ", ..." : list;
}

Result<std::vector<std::int32_t>> classes_by_name(const std::vector<std::string>& from,
                                                  const std::vector<std::string>& to) {
  std::vector<std::int32_t> map;
  for (const std::string& name : from) {
    const auto found = std::find(to.begin(), to.end(), name);
    if (found == to.end()) {
      std::string known;
      for (std::size_t i = 0; i < to.size() && i < 12; ++i) known += (i ? ", '" : "'") + to[i] + "'";
      return Error{
          Code::bad_input,
          "the data has the class '" + name + "', the bundle knows only " + known + (to.size() > 12 ? ", ..." : ""),
          "give --data the folder the bundle was fitted on, or fit a bundle on this data"};
    }
    map.push_back(static_cast<std::int32_t>(found - to.begin()));
  }
  return map;
}

Result<std::vector<std::string>> parse_class_names(const std::string& text, const std::string& where) {
  std::vector<std::string> names;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string name = trimmed(text.substr(at, end - at));
    at = end + 1;
    if (name.empty()) continue;
    if (name.find('\0') != std::string::npos) return fault(where, "holds a NUL byte, so it is not a list of names");
    if (std::find(names.begin(), names.end(), name) != names.end())
      return fault(where, "class name '" + name + "' stands twice", "give every class its own name");
    names.push_back(name);
    if (names.size() > kMaxClasses) return fault(where, "more than 1000 class names");
  }
  if (names.size() < 2) return fault(where, "fewer than two class names", "write one name a line, in label order");
  return names;
}

}  // namespace fathom::data
