#include "data/columns.h"

#include <algorithm>
#include <array>
#include <set>
#include <unordered_set>

namespace fathom::data {
namespace {

constexpr std::array kLabelNames = {"label",       "labels",      "class",    "category", "target", "sentiment",
                                    "class_index", "class index", "label_id", "intent",   "topic"};
constexpr std::array kTextNames = {"text",      "sentence", "title",      "description", "content",
                                   "review",    "question", "body",       "headline",    "sentence1",
                                   "sentence2", "premise",  "hypothesis", "question1",   "question2",
                                   "document",  "tweet",    "utterance",  "message"};
constexpr std::array kNumberNames = {"id", "idx", "index", "row", "guid"};
constexpr std::size_t kMaxClasses = 1000;

std::string plain_name(const std::string& field) {
  const auto begin = field.find_first_not_of(" \t\r\n");
  if (begin == std::string::npos) return "";
  std::string name = field.substr(begin, field.find_last_not_of(" \t\r\n") - begin + 1);
  for (char& c : name)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return name;
}

template <class Names>
bool is_one_of(const std::string& name, const Names& names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool column_is_integer(const Table& table, std::size_t column, std::size_t first_row) {
  if (first_row >= table.rows.size()) return false;
  return std::all_of(table.rows.begin() + static_cast<std::ptrdiff_t>(first_row), table.rows.end(),
                     [&](const Row& row) { return is_integer(row.fields[column]); });
}

bool value_returns(const Table& table, std::size_t column) {  // the first row's value, further down
  const std::string& first = table.rows.front().fields[column];
  return std::any_of(table.rows.begin() + 1, table.rows.end(),
                     [&](const Row& row) { return row.fields[column] == first; });
}

bool first_row_is_header(const Table& table, const std::vector<std::string>& wanted) {
  const std::vector<std::string>& first = table.rows.front().fields;
  int label_names = 0, known = 0;
  bool named = true;
  std::set<std::string> distinct;
  for (std::size_t c = 0; c < first.size(); ++c) {
    const std::string name = plain_name(first[c]);
    if (std::any_of(wanted.begin(), wanted.end(),
                    [&](const std::string& w) { return !is_integer(w) && plain_name(w) == name; }))
      return true;
    named = named && !name.empty() && !is_integer(name) && name.size() <= 64;
    distinct.insert(name);
    const bool returns = value_returns(table, c);
    label_names += !returns && is_one_of(name, kLabelNames);
    known += !returns && (is_one_of(name, kLabelNames) || is_one_of(name, kTextNames));
  }
  if (label_names > 0 || known > 1) return true;
  if (!named || distinct.size() != first.size()) return false;
  for (std::size_t c = 0; c < first.size(); ++c)
    if (column_is_integer(table, c, 1)) return true;  // a word over a column of numbers
  return false;
}

std::string column_list(const Table& table) {
  if (table.header.empty()) return std::to_string(table.columns()) + " columns without a header";
  std::string list = "columns ";
  for (std::size_t c = 0; c < table.header.size(); ++c) list += (c ? ", '" : "'") + table.header[c] + "'";
  return list;
}

Result<std::size_t> find_column(const Table& table, const std::string& wanted, const char* flag) {
  for (std::size_t c = 0; c < table.header.size(); ++c)
    if (plain_name(table.header[c]) == plain_name(wanted)) return c;
  if (is_integer(wanted) && wanted.size() < 9) {
    const int number = std::stoi(wanted);
    if (number >= 1 && static_cast<std::size_t>(number) <= table.columns()) return static_cast<std::size_t>(number - 1);
  }
  return Error{Code::bad_input,
               table.where + ": column '" + wanted + "' is missing; the file has " + column_list(table),
               std::string("name an existing column with ") + flag + " (or its number, from 1)"};
}

bool is_complexity(const Table& table, std::size_t column) {
  return !table.header.empty() && table.header[column] == "complexity";
}

// The column with the fewest distinct values, as classes have: at least 2 and far fewer than rows.
Result<std::size_t> find_label(const Table& table) {
  for (const char* name : kLabelNames)
    for (std::size_t c = 0; c < table.header.size(); ++c)
      if (plain_name(table.header[c]) == name) return c;
  std::size_t best = 0, best_distinct = kMaxClasses + 1;
  for (std::size_t c = 0; c < table.columns(); ++c) {
    if (is_complexity(table, c) || (!table.header.empty() && is_one_of(plain_name(table.header[c]), kNumberNames)))
      continue;
    std::unordered_set<std::string_view> values;
    bool short_values = true;
    for (const Row& row : table.rows) {
      values.insert(row.fields[c]);
      short_values = short_values && row.fields[c].size() <= 64;
      if (values.size() > kMaxClasses || !short_values) break;
    }
    if (!short_values || values.size() < 2 || values.size() >= best_distinct) continue;
    if (2 * values.size() > std::max<std::size_t>(table.rows.size(), 4)) continue;
    best = c;
    best_distinct = values.size();
  }
  if (best_distinct > kMaxClasses)
    return Error{
        Code::bad_input,
        table.where + ": no column looks like labels (2 to 1000 short values that repeat) among " + column_list(table),
        "say which one it is with --label-column"};
  return best;
}

std::vector<std::size_t> find_text(const Table& table, std::size_t label) {
  std::vector<std::size_t> known, other;
  for (std::size_t c = 0; c < table.columns(); ++c) {
    if (c == label || is_complexity(table, c)) continue;
    const std::string name = table.header.empty() ? "" : plain_name(table.header[c]);
    if (is_one_of(name, kTextNames)) known.push_back(c);
    if (!is_one_of(name, kNumberNames) && !is_one_of(name, kLabelNames) && !column_is_integer(table, c, 0))
      other.push_back(c);
  }
  return known.empty() ? other : known;
}

Status refuse_doubled(const Table& table) {
  for (std::size_t a = 0; a < table.header.size(); ++a)
    for (std::size_t b = a + 1; b < table.header.size(); ++b)
      if (!table.header[a].empty() && table.header[a] == table.header[b])
        return Error{Code::bad_input,
                     table.where + ": column '" + table.header[a] + "' stands twice, as columns " +
                         std::to_string(a + 1) + " and " + std::to_string(b + 1),
                     "rename one of them"};
  return {};
}

}  // namespace

bool is_integer(const std::string& text) {
  const std::size_t sign = !text.empty() && text[0] == '-' ? 1 : 0;
  return text.size() > sign && text.size() <= 18 &&
         std::all_of(text.begin() + static_cast<std::ptrdiff_t>(sign), text.end(),
                     [](char c) { return c >= '0' && c <= '9'; });
}

Status find_header(Table& table, const std::vector<std::string>& wanted) {
  if (table.header.empty() && !table.rows.empty() && first_row_is_header(table, wanted)) {
    for (const std::string& field : table.rows.front().fields) table.header.push_back(plain_name(field));
    table.rows.erase(table.rows.begin());
    if (table.rows.empty())
      return Error{Code::bad_input, table.where + ": a header and no rows", "give a file with data"};
  }
  return refuse_doubled(table);
}

Result<Columns> choose_columns(const Table& table, const std::vector<std::string>& text, const std::string& label) {
  Columns columns;
  FATHOM_TRY(columns.label, label.empty() ? find_label(table) : find_column(table, label, "--label-column"));
  for (std::size_t c = 0; c < table.columns(); ++c)
    if (is_complexity(table, c)) columns.complexity = c;
  for (const std::string& name : text) {
    FATHOM_TRY(const std::size_t column, find_column(table, name, "--text-columns"));
    if (column == columns.label || std::count(columns.text.begin(), columns.text.end(), column) > 0)
      return Error{Code::bad_input, table.where + ": column '" + name + "' is used twice",
                   "text columns must differ from each other and from the label column"};
    columns.text.push_back(column);
  }
  if (text.empty()) columns.text = find_text(table, columns.label);
  if (columns.text.empty())
    return Error{Code::bad_input, table.where + ": no text column found among " + column_list(table),
                 "say which with --text-columns"};
  return columns;
}

Result<Columns> same_columns(const Table& train, const Columns& columns, const Table& other) {
  if (train.header.empty() || other.header.empty()) {
    if (other.columns() != train.columns())
      return Error{Code::bad_input,
                   other.where + ": " + std::to_string(other.columns()) + " columns, but " + train.where + " has " +
                       std::to_string(train.columns()),
                   "all splits need the same columns"};
    return columns;
  }
  Columns same;
  FATHOM_TRY(same.label, find_column(other, train.header[columns.label], "--label-column"));
  for (const std::size_t c : columns.text) {
    FATHOM_TRY(const std::size_t column, find_column(other, train.header[c], "--text-columns"));
    same.text.push_back(column);
  }
  for (std::size_t c = 0; c < other.columns(); ++c)
    if (is_complexity(other, c)) same.complexity = c;
  return same;
}

std::string describe_columns(const Table& table, const Columns& columns) {
  const auto name = [&](std::size_t c) {
    return table.header.empty() ? "column " + std::to_string(c + 1) : "'" + table.header[c] + "'";
  };
  std::string text = table.header.empty() ? "no header; text " : "header found; text ";
  for (std::size_t i = 0; i < columns.text.size(); ++i) text += (i ? " + " : "") + name(columns.text[i]);
  return text + ", label " + name(columns.label) +
         (columns.complexity ? ", complexity " + name(*columns.complexity) : "");
}

}  // namespace fathom::data
