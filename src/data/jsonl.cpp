// JSON lines: one object a line. Members that are lists or objects are not columns.
#include <map>

#include "base/json.h"
#include "data/table.h"

namespace fathom::data {
namespace {

bool is_plain(const Json& value) { return !value.is_array() && !value.is_object(); }

std::string plain_text(const Json& value) {
  if (value.is_null()) return "";
  if (value.is_string()) return value.get<std::string>();
  return value.dump();  // numbers and true/false as written in JSON
}

Result<Row> read_row(const Json& object, const std::vector<std::string>& header, const std::string& here) {
  Row row;
  for (const std::string& name : header) {
    const auto found = object.find(name);
    if (found == object.end())
      return Error{Code::bad_input, here + ": '" + name + "' is missing", "every line needs the first line's members"};
    if (!is_plain(*found))
      return Error{Code::bad_input, here + ": '" + name + "' is a list or object, expected text or a number", ""};
    row.fields.push_back(plain_text(*found));
    if (row.fields.back().find('\0') != std::string::npos)
      return Error{Code::bad_input, here + ": '" + name + "' holds a NUL character", "remove it"};
  }
  return row;
}

}  // namespace

Result<Table> parse_jsonl(std::string_view text, const std::string& where) {
  Table table;
  table.where = where;
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  std::uint64_t line = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view one = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    ++line;
    if (one.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string here = where + " line " + std::to_string(line);
    FATHOM_TRY(const Json object, parse_json(one, here));
    if (!object.is_object()) return Error{Code::bad_input, here + ": expected a JSON object", "write one {...} a line"};
    if (table.header.empty())
      for (const auto& [name, value] : object.items())
        if (is_plain(value)) table.header.push_back(name);
    if (table.header.empty()) return Error{Code::bad_input, here + ": no member holds text or a number", ""};
    FATHOM_TRY(Row row, read_row(object, table.header, here));
    row.line = line;
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace fathom::data
