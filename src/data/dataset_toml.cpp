#include "data/dataset_toml.h"

#include <set>

#include "base/file.h"
#include "data/plain_text.h"
#include "data/table.h"

namespace fathom::data {
namespace {

constexpr const char* kKeys = "task, text_columns, label_column, label_names, header, train, tune, calibrate, test";

struct Value {
  std::vector<std::string> texts;
  bool is_list = false, is_flag = false;  // flag: true or false, as its text
};

class Reader {
 public:
  Reader(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  bool next_key() {  // moves to the next key; false at the end
    skip(true);
    return at_ < text_.size();
  }

  Result<std::string> key() {
    std::string name;
    while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) || text_[at_] == '_'))
      name.push_back(text_[at_++]);
    if (name.empty()) return fault("expected a key");
    skip(false);
    if (!take('=')) return fault("expected '=' after '" + name + "'");
    return name;
  }

  Result<Value> value() {
    Value value;
    skip(false);
    for (const std::string_view word : {"true", "false"})
      if (text_.substr(at_, word.size()) == word) {
        at_ += word.size();
        value.texts.emplace_back(word);
        value.is_flag = true;
        return end_of_line(std::move(value));
      }
    if (!take('[')) {
      FATHOM_TRY(std::string text, string());
      value.texts.push_back(std::move(text));
      return end_of_line(std::move(value));
    }
    value.is_list = true;
    for (;;) {
      skip(true);
      if (take(']')) break;
      FATHOM_TRY(std::string text, string());
      value.texts.push_back(std::move(text));
      skip(true);
      if (take(',')) continue;
      if (take(']')) break;
      return fault("expected ',' or ']' in a list");
    }
    return end_of_line(std::move(value));
  }

  Error fault(const std::string& what, const std::string& hint = "") const {
    return {Code::bad_input, where_ + " line " + std::to_string(line_) + ": " + what, hint};
  }

 private:
  void skip(bool lines) {  // blanks and comments; line ends too if `lines`
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '#') {
        while (at_ < text_.size() && text_[at_] != '\n') ++at_;
      } else if (c == ' ' || c == '\t' || c == '\r' || (c == '\n' && lines)) {
        line_ += c == '\n';
        ++at_;
      } else {
        break;
      }
    }
  }

  bool take(char c) {
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  Result<std::string> string() {
    if (!take('"')) return fault("expected text in double quotes");
    std::string out;
    while (at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\n') {
      char c = text_[at_++];
      if (c == '\0') return fault("holds a NUL byte");
      if (c == '\\') {
        const char escaped = at_ < text_.size() ? text_[at_++] : '\0';
        if (escaped == 'n')
          c = '\n';
        else if (escaped == 't')
          c = '\t';
        else if (escaped == '"' || escaped == '\\')
          c = escaped;
        else
          return fault("unknown escape in text", "only \\\" \\\\ \\n \\t are known");
      }
      out.push_back(c);
    }
    if (!take('"')) return fault("text is never closed");
    return out;
  }

  Result<Value> end_of_line(Value value) {
    skip(false);
    if (at_ < text_.size() && text_[at_] != '\n') return fault("unexpected text after the value");
    return value;
  }

  std::string_view text_;
  const std::string& where_;
  std::size_t at_ = 0;
  int line_ = 1;
};

// A name inside the data folder: the description may not reach outside it.
bool stays_inside(const std::string& name) {
  const fs::path path(name);
  if (name.empty() || path.is_absolute()) return false;
  for (const fs::path& step : path)
    if (step == "..") return false;
  return true;
}

Status set(DatasetToml& toml, const std::string& key, const Value& value, const Reader& reader) {
  const auto single = [&](std::string& out) -> Status {
    if (value.is_list || value.texts.front().empty()) return reader.fault("'" + key + "' must be one text");
    out = value.texts.front();
    return {};
  };
  if (value.is_flag != (key == "header"))
    return reader.fault("'" + key + "' must be " + (value.is_flag ? "text in quotes" : "true or false"));
  if (key == "header") {
    toml.header = value.texts.front() == "true";
    return {};
  }
  if (key == "task") {
    std::string name;
    FATHOM_TRY_VOID(single(name));
    auto task = parse_task(name);
    if (!task.has_value()) return reader.fault(task.error().message, task.error().hint);
    toml.task = *task;
    return {};
  }
  if (key == "label_column") return single(toml.label_column);
  if (value.texts.empty()) return reader.fault("'" + key + "' is an empty list");
  if (key == "text_columns") {
    toml.text_columns = value.texts;
    return {};
  }
  if (key == "label_names") {
    if (!value.is_list || value.texts.size() < 2)
      return reader.fault("'label_names' must be a list of at least two names");
    if (value.texts.size() > kMaxClasses) return reader.fault("more than 1000 names in 'label_names'");
    if (std::set<std::string>(value.texts.begin(), value.texts.end()).size() != value.texts.size())
      return reader.fault("a name stands twice in 'label_names'");
    toml.label_names = value.texts;
    return {};
  }
  for (const Part part : kAllParts) {
    if (key != part_name(part)) continue;
    for (const std::string& name : value.texts)
      if (!stays_inside(name))
        return reader.fault("'" + name + "' is not a file inside the data folder", "give names relative to the folder");
    toml.files[static_cast<std::size_t>(part)] = value.texts;
    return {};
  }
  return reader.fault("unknown key '" + key + "'", std::string("known keys: ") + kKeys);
}

}  // namespace

Result<DatasetToml> parse_dataset_toml(std::string_view text, const std::string& where) {
  FATHOM_TRY_VOID(check_plain_text(text, where));
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  DatasetToml toml;
  Reader reader(text, where);
  std::set<std::string> seen;
  while (reader.next_key()) {
    FATHOM_TRY(const std::string key, reader.key());
    if (!seen.insert(key).second) return reader.fault("key '" + key + "' stands twice");
    FATHOM_TRY(const Value value, reader.value());
    FATHOM_TRY_VOID(set(toml, key, value, reader));
  }
  return toml;
}

}  // namespace fathom::data
