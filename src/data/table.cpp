#include "data/table.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "data/gzip.h"
#include "data/plain_text.h"

namespace fathom::data {
namespace {

constexpr std::size_t kShort = 64;
constexpr std::size_t kMaxCounted = 256;  // columns whose values are counted: more never are classes

std::string table_extension(std::string name) {
  for (char& c : name)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  if (name.ends_with(".gz")) name.resize(name.size() - 3);
  for (const char* extension : {".csv", ".tsv", ".jsonl", ".ndjson"})
    if (name.ends_with(extension) && name.size() > std::string_view(extension).size()) return extension;
  return "";
}

bool is_number(std::string_view text) {
  double value = 0;
  if (text.starts_with('+')) text.remove_prefix(1);
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  return !text.empty() && read.ec == std::errc() && read.ptr == text.data() + text.size();
}

void look_at_first(ColumnFacts& facts, const std::string& value) { facts.first = value; }

void look_at(ColumnFacts& facts, const std::string& value, bool counted) {
  facts.first_returns = facts.first_returns || value == facts.first;
  facts.integers = facts.integers && is_integer(value);
  facts.numbers = facts.numbers && (facts.integers || is_number(value));
  facts.short_values = facts.short_values && value.size() <= kShort;
  facts.phrases += value.find(' ') != std::string::npos;
  if (!counted || !facts.short_values || facts.many) return;
  ++facts.values[std::hash<std::string_view>{}(value)];
  facts.many = facts.values.size() > kMaxClasses;
}

bool in_quotes(const std::string& f) { return f.size() >= 2 && f.front() == '"' && f.back() == '"'; }

// Every row is read once: its faults come to light, and what its columns hold.
Status look(Table& table, bool* some_column_is_quoted = nullptr) {
  std::vector<bool> all_quoted;
  FATHOM_TRY_VOID(table.visit([&](Row& row) -> Status {
    if (table.rows == 0) {
      table.columns.resize(row.fields.size());
      all_quoted.assign(row.fields.size(), true);
    }
    for (std::size_t c = 0; c < row.fields.size(); ++c) {
      all_quoted[c] = all_quoted[c] && in_quotes(row.fields[c]);
      if (table.rows == 0)
        look_at_first(table.columns[c], row.fields[c]);
      else
        look_at(table.columns[c], row.fields[c], c < kMaxCounted);
    }
    ++table.rows;
    return {};
  }));
  if (some_column_is_quoted != nullptr)
    *some_column_is_quoted = std::find(all_quoted.begin(), all_quoted.end(), true) != all_quoted.end();
  return {};
}

Table begin(TableKind kind, std::string text, const std::string& where) {
  Table table;
  table.kind = kind;
  table.where = where;
  table.text = std::move(text);
  return table;
}

// How often `separator` stands in each of the first lines, if it is as often in (nearly) all; else 0.
std::size_t steady_count(std::string_view text, char separator) {
  constexpr std::size_t kLines = 50;
  std::size_t lines = 0, first = 0, same = 0;
  while (!text.empty() && lines < kLines) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const auto count = static_cast<std::size_t>(std::count(line.begin(), line.end(), separator));
    if (lines++ == 0) first = count;
    same += count == first;
  }
  return lines > 1 && 10 * same >= 9 * lines ? first : 0;
}

}  // namespace

Status Table::visit(const std::function<Status(Row&)>& each) const {
  if (kind == TableKind::jsonl) return visit_objects(*this, each);
  bool pass = first_row_is_header;
  return visit_separated(*this, [&](Row& row) -> Status {
    if (!std::exchange(pass, false)) return each(row);
    return {};
  });
}

bool is_table_name(const std::string& name) { return !table_extension(name).empty(); }

bool is_integer(std::string_view text) {
  const std::size_t sign = !text.empty() && text[0] == '-' ? 1 : 0;
  return text.size() > sign && text.size() <= 18 &&
         std::all_of(text.begin() + static_cast<std::ptrdiff_t>(sign), text.end(),
                     [](char c) { return c >= '0' && c <= '9'; });
}

std::string other_separator(std::string_view text, char own) {
  for (const auto& [separator, name] : {std::pair(';', "';'"), std::pair('\t', "tabs"), std::pair('|', "'|'")})
    if (separator != own && steady_count(text, separator) > 0)
      return std::string("fields seem to be separated by ") + name;
  return "";
}

Result<Table> parse_csv(std::string text, const std::string& where) {
  FATHOM_TRY_VOID(check_plain_text(text, where));
  Table table = begin(TableKind::csv, std::move(text), where);
  FATHOM_TRY_VOID(look(table));
  return table;
}

Result<Table> parse_tsv(std::string text, const std::string& where) {
  FATHOM_TRY_VOID(check_plain_text(text, where));
  Table plain = begin(TableKind::tsv, std::move(text), where);
  bool some_quoted = false;
  const Status read = look(plain, &some_quoted);
  if (read && !some_quoted) return plain;
  Table table = begin(TableKind::quoted_tsv, std::move(plain.text), where);
  if (look(table)) return table;
  if (!read) return read.error();
  plain.text = std::move(table.text);
  return plain;
}

Result<Table> parse_jsonl(std::string text, const std::string& where) {
  FATHOM_TRY_VOID(check_plain_text(text, where));
  Table table = begin(TableKind::jsonl, std::move(text), where);
  FATHOM_TRY(table.header, first_members(table));
  FATHOM_TRY_VOID(look(table));
  return table;
}

Result<Table> read_table(const fs::path& path) {
  const std::string where = "'" + path.string() + "'";
  const std::string extension = table_extension(path.filename().string());
  if (extension.empty())
    return Error{Code::bad_input, where + ": not a table", "give a .csv, .tsv or .jsonl file, or one of these as .gz"};
  FATHOM_TRY(std::string text, read_data_file(path));
  FATHOM_TRY(Table table, extension == ".csv"   ? parse_csv(std::move(text), where)
                          : extension == ".tsv" ? parse_tsv(std::move(text), where)
                                                : parse_jsonl(std::move(text), where));
  if (table.rows == 0) return Error{Code::bad_input, where + ": holds no rows", "give a file with data"};
  return table;
}

}  // namespace fathom::data
