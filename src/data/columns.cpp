#include "data/columns.h"

#include <algorithm>
#include <array>
#include <set>

namespace fathom::data {
namespace {

constexpr std::array kLabelNames = {"label",       "labels",      "class",    "category", "target", "sentiment",
                                    "class_index", "class index", "label_id", "intent",   "topic",  "emotion",
                                    "emotions",    "polarity",    "genre",    "spam"};
constexpr std::array kTextNames = {
    "text",      "sentence",  "title",   "description", "content",   "review",    "question", "body",  "headline",
    "sentence1", "sentence2", "premise", "hypothesis",  "question1", "question2", "document", "tweet", "utterance",
    "message",   "comment",   "sms",     "query",       "abstract",  "summary",   "phrase"};
constexpr std::array kNumberNames = {"id", "idx", "index", "row", "guid"};

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

bool has_header(const Table& table) { return !table.header.empty(); }

// Whether whole numbers stand in every row of data.
bool column_is_integer(const Table& table, std::size_t column) {
  const ColumnFacts& facts = table.columns[column];
  return has_header(table) ? facts.integers && table.rows > 0 : facts.integers && is_integer(facts.first);
}

// Distinct values of the data rows; more than kMaxClasses where they are not a class's.
std::size_t distinct(const Table& table, std::size_t column) {
  const ColumnFacts& facts = table.columns[column];
  const bool first_counts = !has_header(table) && !facts.first_returns;
  if (facts.many || !facts.short_values || (first_counts && facts.first.size() > 64)) return kMaxClasses + 1;
  return facts.values.size() + (first_counts ? 1 : 0);
}

// A word as columns are named by: no blanks inside, no sentence.
bool looks_like_a_name(const std::string& field) {
  const std::string name = plain_name(field);
  return !name.empty() && name.size() <= 32 && !is_integer(name) &&
         name.find_first_of(" \t,;:!?()\"'") == std::string::npos;
}

// Later rows are of few values that come back, and the first row's is none of them. `strict`: each comes back.
bool stands_apart(const ColumnFacts& facts, std::size_t later, bool strict) {
  if (facts.first_returns || facts.many || !facts.short_values || facts.values.size() < 2) return false;
  if (2 * facts.values.size() > later) return false;
  return !strict ||
         std::all_of(facts.values.begin(), facts.values.end(), [](const auto& value) { return value.second > 1; });
}

std::string first_row(const Table& table) {
  std::string text;
  for (std::size_t c = 0; c < table.columns.size() && c < 6; ++c)
    text += (c ? ", '" : "'") + table.columns[c].first.substr(0, 40) + "'";
  return text + (table.columns.size() > 6 ? ", ..." : "");
}

// By the first row's own words: nothing where they do not tell.
std::optional<bool> told_by_names(const Table& table, const std::vector<std::string>& wanted, bool& some_known) {
  int label_names = 0, known = 0;
  bool named = true;
  std::set<std::string> distinct_names;
  for (const ColumnFacts& facts : table.columns) {
    const std::string name = plain_name(facts.first);
    const bool row_numbers = name.empty() && &facts == &table.columns.front() && facts.integers;  // pandas writes them
    if (std::any_of(wanted.begin(), wanted.end(),
                    [&](const std::string& w) { return !is_integer(w) && plain_name(w) == name; }))
      return true;
    named = named && (row_numbers || !name.empty()) && !is_integer(name) && name.size() <= 64;
    distinct_names.insert(name);
    label_names += !facts.first_returns && is_one_of(name, kLabelNames);
    known += !facts.first_returns && (is_one_of(name, kLabelNames) || is_one_of(name, kTextNames));
  }
  if (label_names > 0 || known > 1) return true;
  some_known = known > 0;
  if (!named || distinct_names.size() != table.columns.size()) return false;
  return std::nullopt;
}

std::string column_list(const Table& table) {
  if (table.header.empty()) return std::to_string(table.columns.size()) + " columns without a header";
  std::string list = "columns ";
  for (std::size_t c = 0; c < table.header.size(); ++c) list += (c ? ", '" : "'") + table.header[c] + "'";
  return list;
}

Result<std::size_t> find_column(const Table& table, const std::string& wanted, const char* flag) {
  for (std::size_t c = 0; c < table.header.size(); ++c)
    if (plain_name(table.header[c]) == plain_name(wanted)) return c;
  if (is_integer(wanted) && wanted.size() < 9) {
    const int number = std::stoi(wanted);
    if (number >= 1 && static_cast<std::size_t>(number) <= table.columns.size())
      return static_cast<std::size_t>(number - 1);
  }
  return Error{Code::bad_input,
               table.where + ": column '" + wanted + "' is missing; the file has " + column_list(table),
               std::string("name an existing column with ") + flag + " (or its number, from 1)"};
}

bool is_complexity(const Table& table, std::size_t column) {
  return !table.header.empty() && table.header[column] == "complexity";
}

Error no_label(const Table& table) {
  return {
      Code::bad_input,
      table.where + ": no column looks like labels (2 to 1000 short values that repeat) among " + column_list(table),
      "say which one it is with --label-column"};
}

std::string column_name(const Table& table, std::size_t column) {
  return has_header(table) ? "'" + table.header[column] + "'" : "column " + std::to_string(column + 1);
}

// Others that look like classes as well: few values, each of them often. Then the fewest are no evidence.
Status refuse_rivals(const Table& table, const std::vector<std::pair<std::size_t, std::size_t>>& candidates) {
  constexpr std::size_t kFew = 50, kOften = 8;
  std::string list;
  std::size_t count = 0;
  for (const auto& [values, column] : candidates) {
    if (values > kFew || values * kOften > table.rows) continue;
    list += (count++ ? ", " : "") + column_name(table, column) + " (" + std::to_string(values) + " values)";
  }
  if (count < 2) return {};
  return Error{Code::bad_input, table.where + ": several columns look like labels: " + list,
               "say which one it is with --label-column, or label_column in dataset.toml"};
}

// By name; else the column with the fewest distinct values, as classes have: at least 2 and far fewer than rows.
Result<std::size_t> find_label(const Table& table) {
  for (const char* name : kLabelNames)
    for (std::size_t c = 0; c < table.header.size(); ++c)
      if (plain_name(table.header[c]) == name) return c;
  std::vector<std::pair<std::size_t, std::size_t>> candidates;  // distinct values, column
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    if (is_complexity(table, c)) continue;
    if (has_header(table)) {
      const std::string name = plain_name(table.header[c]);
      if (is_one_of(name, kNumberNames) || (is_one_of(name, kTextNames) && table.columns.size() > 1)) continue;
    }
    const std::size_t values = distinct(table, c);
    if (values < 2 || values > kMaxClasses) continue;
    if (2 * values > std::max<std::size_t>(table.rows, 4)) continue;
    candidates.emplace_back(values, c);
  }
  if (candidates.empty()) return no_label(table);
  std::sort(candidates.begin(), candidates.end());
  FATHOM_TRY_VOID(refuse_rivals(table, candidates));
  return candidates.front().second;
}

std::vector<std::size_t> find_text(const Table& table, std::size_t label) {
  std::vector<std::size_t> known, other;
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    if (c == label || is_complexity(table, c)) continue;
    const std::string name = table.header.empty() ? "" : plain_name(table.header[c]);
    if (is_one_of(name, kTextNames)) known.push_back(c);
    if (!is_one_of(name, kNumberNames) && !is_one_of(name, kLabelNames) && !column_is_integer(table, c))
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

HeaderIs header_is(const Table& table, const std::vector<std::string>& wanted, std::string* why) {
  bool some_known = false;
  if (const auto told = told_by_names(table, wanted, some_known)) return *told ? HeaderIs::yes : HeaderIs::no;
  const std::size_t later = table.rows > 0 ? table.rows - 1 : 0;
  if (later == 0) return HeaderIs::no;
  bool apart = false, strictly = false, longer = false, names = true;
  for (const ColumnFacts& facts : table.columns) {
    if (facts.numbers) return HeaderIs::yes;  // a word over a column of numbers
    apart = apart || stands_apart(facts, later, false);
    strictly = strictly || (later >= 20 && stands_apart(facts, later, true));
    names = names && looks_like_a_name(facts.first);
    longer = longer || (10 * facts.phrases >= 9 * later && facts.first.find(' ') == std::string::npos);
  }
  if (apart && (some_known || (names && longer))) return HeaderIs::yes;
  // A sentence in it: a row whose class has no other.
  const bool sentence = std::any_of(table.columns.begin(), table.columns.end(), [](const ColumnFacts& facts) {
    return std::count(facts.first.begin(), facts.first.end(), ' ') > 2;
  });
  if (!strictly || sentence) return HeaderIs::no;
  if (why != nullptr) *why = "(" + first_row(table) + "): its label never comes back, as a header's does not";
  return HeaderIs::unclear;
}

namespace {

Status take_header(Table& table) {
  for (const ColumnFacts& facts : table.columns) table.header.push_back(plain_name(facts.first));
  table.first_row_is_header = true;
  if (--table.rows == 0) return Error{Code::bad_input, table.where + ": a header and no rows", "give a file with data"};
  return refuse_doubled(table);
}

// Another split's file without the column that train's labels are in.
Error no_labels_there(const Table& train, const Columns& columns, const Table& other, const char* split) {
  const bool named = has_header(train);
  return {Code::bad_input,
          other.where + " has no label column" + (named ? " (" + column_name(train, columns.label) + ")" : "") +
              ": it cannot be a " + split + " split",
          "add the labels, or take the file out of the folder (unlabelled texts: fathom run --file)"};
}

}  // namespace

Status find_header(Table& table, const std::vector<std::string>& wanted, std::optional<bool> told) {
  if (table.kind == TableKind::jsonl || table.rows == 0) return {};
  std::string why;
  const HeaderIs is = told ? (*told ? HeaderIs::yes : HeaderIs::no) : header_is(table, wanted, &why);
  if (is == HeaderIs::unclear)
    return Error{Code::bad_input, table.where + ": the first row may be a header or data " + why,
                 "say which with --header or --no-header, or header = true or false in dataset.toml"};
  return is == HeaderIs::yes ? take_header(table) : Status{};
}

Status find_header_as(Table& table, const Table& train, const std::vector<std::string>& wanted,
                      std::optional<bool> told) {
  if (table.kind == TableKind::jsonl || table.rows == 0) return {};
  if (!told && has_header(train)) {
    const auto named = [&](const std::string& name) {
      return std::any_of(table.columns.begin(), table.columns.end(),
                         [&](const ColumnFacts& facts) { return plain_name(facts.first) == name; });
    };
    const auto found = std::count_if(train.header.begin(), train.header.end(), named);
    if (2 * static_cast<std::size_t>(found) >= table.columns.size()) return take_header(table);
  }
  if (!told && header_is(table, wanted) == HeaderIs::unclear) told = train.first_row_is_header;
  return find_header(table, wanted, told);
}

Result<Columns> choose_columns(const Table& table, const std::vector<std::string>& text, const std::string& label) {
  Columns columns;
  if (table.kind != TableKind::jsonl && table.columns.size() == 1)
    if (const auto other = other_separator(table.text, table.kind == TableKind::csv ? ',' : '\t'); !other.empty())
      return Error{Code::bad_input, table.where + ": one column; " + other,
                   "save it with commas between the fields, or as .tsv with tabs"};
  FATHOM_TRY(columns.label, label.empty() ? find_label(table) : find_column(table, label, "--label-column"));
  for (std::size_t c = 0; c < table.columns.size(); ++c)
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

Result<Columns> same_columns(const Table& train, const Columns& columns, const Table& other, const char* split) {
  if (train.header.empty() || other.header.empty()) {
    if (other.columns.size() + 1 == train.columns.size() && !has_header(other))
      return no_labels_there(train, columns, other, split);
    if (other.columns.size() != train.columns.size())
      return Error{Code::bad_input,
                   other.where + ": " + std::to_string(other.columns.size()) + " columns, but " + train.where +
                       " has " + std::to_string(train.columns.size()),
                   "all splits need the same columns"};
    return columns;
  }
  Columns same;
  if (std::find(other.header.begin(), other.header.end(), train.header[columns.label]) == other.header.end())
    return no_labels_there(train, columns, other, split);
  FATHOM_TRY(same.label, find_column(other, train.header[columns.label], "--label-column"));
  for (const std::size_t c : columns.text) {
    FATHOM_TRY(const std::size_t column, find_column(other, train.header[c], "--text-columns"));
    same.text.push_back(column);
  }
  for (std::size_t c = 0; c < other.columns.size(); ++c)
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
