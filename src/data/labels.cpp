#include "data/labels.h"

#include <algorithm>
#include <set>

#include "data/plain_text.h"
#include "data/table.h"

namespace fathom::data {
namespace {

std::string trimmed(const std::string& text) {
  const auto begin = text.find_first_not_of(" \t\r\n");
  return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

std::string number_of(const std::string& plain) {
  return is_integer(plain) ? std::to_string(std::stoll(plain)) : plain;
}

// By number, and writings of one number by length: 1, 01, 001, 2.
bool number_before(const std::string& a, const std::string& b) {
  const long long x = std::stoll(a), y = std::stoll(b);
  if (x != y) return x < y;
  return a.size() != b.size() ? a.size() < b.size() : a < b;
}

std::string listed(const std::vector<std::string>& names) {
  std::string list;
  for (std::size_t i = 0; i < names.size() && i < 12; ++i) list += (i ? ", '" : "'") + names[i] + "'";
  return names.size() > 12 ? list + ", ..." : list;
}

Error fault(const std::string& where, const std::string& what, const std::string& hint = "") {
  return {Code::bad_input, where + ": " + what, hint};
}

}  // namespace

Result<LabelMap> LabelMap::make(const std::vector<std::string>& values, const std::vector<std::string>& names,
                                const std::string& where, const std::string& names_from, std::size_t least) {
  std::set<std::string> written, distinct;
  for (const std::string& value : values) {
    written.insert(trimmed(value));
    if (written.size() > kMaxClasses)
      return fault(where, "more than 1000 distinct labels", "choose the label column with --label-column");
  }
  LabelMap map;
  for (const std::string& value : written) distinct.insert(number_of(value));
  if (distinct.size() < written.size()) {  // 1 and 01 are two labels where both occur; else 01 is another way to say 1
    map.as_written_ = true;
    distinct = written;
  }
  if (distinct.size() < least)
    return fault(where, "all rows have the same label", "give training data with at least two classes");
  if (distinct.count("") > 0) return fault(where, "a row has an empty label", "give every row a label");
  std::vector<std::string> sorted(distinct.begin(), distinct.end());
  const bool numeric = std::all_of(sorted.begin(), sorted.end(), is_integer);
  if (numeric) std::sort(sorted.begin(), sorted.end(), number_before);

  map.names_ = names.empty() ? sorted : names;
  const bool by_name = std::all_of(sorted.begin(), sorted.end(), [&](const auto& v) {
    return std::find(names.begin(), names.end(), v) != names.end();
  });
  const auto count = static_cast<long long>(names.size());
  const long long base =
      numeric && !names.empty() && std::stoll(sorted.back()) == count && std::stoll(sorted.front()) >= 1 ? 1 : 0;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    long long index = static_cast<long long>(i);
    const auto named = std::find(names.begin(), names.end(), sorted[i]);
    if (named != names.end() && !(numeric && !by_name)) {
      index = named - names.begin();
    } else if (!names.empty()) {
      index = numeric ? std::stoll(sorted[i]) - base : -1;
      if (index < 0 || index >= count)
        return fault(where, "label '" + sorted[i] + "' is missing from " + names_from + " (" + listed(names) + ")",
                     "correct the list of class names or the labels");
      if (i > 0 && numeric && std::stoll(sorted[i - 1]) == std::stoll(sorted[i]))
        return fault(where,
                     "labels '" + sorted[i - 1] + "' and '" + sorted[i] + "' differ by zeros alone, and " + names_from +
                         " names classes by number",
                     "write them alike");
    }
    map.index_[sorted[i]] = static_cast<std::int32_t>(index);
  }
  return map;
}

std::int32_t LabelMap::find(const std::string& value) const {
  const auto found = index_.find(as_written_ ? trimmed(value) : number_of(trimmed(value)));
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
    if (std::find(found + 1, to.end(), name) != to.end())
      return Error{Code::bad_input, "the bundle has two classes called '" + name + "'",
                   "name its classes apart in config.json's 'id2label' and import it again"};
    map.push_back(static_cast<std::int32_t>(found - to.begin()));
  }
  return map;
}

Result<std::vector<std::string>> parse_class_names(const std::string& text, const std::string& where) {
  std::vector<std::string> names;
  FATHOM_TRY_VOID(check_plain_text(text, where));
  for (std::size_t at = text.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string name = trimmed(text.substr(at, end - at));
    at = end + 1;
    if (name.empty()) continue;
    if (std::find(names.begin(), names.end(), name) != names.end())
      return fault(where, "class name '" + name + "' stands twice", "give every class its own name");
    names.push_back(name);
    if (names.size() > kMaxClasses) return fault(where, "more than 1000 class names");
  }
  if (names.size() < 2) return fault(where, "fewer than two class names", "write one name a line, in label order");
  return names;
}

}  // namespace fathom::data
