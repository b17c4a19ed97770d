// CSV (RFC 4180, lenient about a quote inside an unquoted field) and TSV.
//
// TSV in the wild comes in two kinds: text dumped as it is (a quote is a character like any other, often
// unbalanced) and spreadsheet exports (quoted fields). It is read as quoted only when that is clear: the plain
// reading has rows of differing width, or some column is in quotes in every row.
#include "data/table.h"

namespace fathom::data {
namespace {

constexpr std::size_t kMaxColumns = 4096;

Error at_line(const std::string& where, std::uint64_t line, const std::string& what, const std::string& hint = "") {
  return {Code::bad_input, where + " line " + std::to_string(line) + ": " + what, hint};
}

class Reader {
 public:
  Reader(std::string_view text, char delimiter, bool quotes, const std::string& where)
      : text_(text), delimiter_(delimiter), quotes_(quotes), where_(where) {
    if (text_.starts_with("\xEF\xBB\xBF")) at_ = 3;
  }

  Result<Table> read() {
    Table table;
    table.where = where_;
    if (text_.starts_with("\xFF\xFE") || text_.starts_with("\xFE\xFF"))
      return at_line(where_, 1, "text is UTF-16", "save it as UTF-8");
    while (at_ < text_.size()) {
      if (skip_blank_line()) continue;
      Row row;
      row.line = line_;
      FATHOM_TRY_VOID(read_row(row));
      if (!table.rows.empty() && row.fields.size() != table.rows.front().fields.size())
        return at_line(where_, row.line,
                       std::to_string(row.fields.size()) + " columns, but the first row has " +
                           std::to_string(table.rows.front().fields.size()),
                       "a field that holds the delimiter must be put in quotes");
      table.rows.push_back(std::move(row));
    }
    return table;
  }

 private:
  bool at_line_end() const {
    return at_ == text_.size() || text_[at_] == '\n' ||
           (text_[at_] == '\r' && (at_ + 1 == text_.size() || text_[at_ + 1] == '\n'));
  }
  void pass_line_end() {
    if (at_ < text_.size() && text_[at_] == '\r') ++at_;
    if (at_ < text_.size()) ++at_;
    ++line_;
  }
  bool skip_blank_line() {
    if (!at_line_end()) return false;
    pass_line_end();
    return true;
  }

  Status read_row(Row& row) {
    for (;;) {
      std::string field;
      if (quotes_ && at_ < text_.size() && text_[at_] == '"') {
        FATHOM_TRY_VOID(read_quoted(field));
      } else {
        while (!at_line_end() && text_[at_] != delimiter_) field.push_back(text_[at_++]);
      }
      if (field.find('\0') != std::string::npos)
        return at_line(where_, row.line, "holds a NUL byte, so it is not text", "save the file as UTF-8 text");
      row.fields.push_back(std::move(field));
      if (row.fields.size() > kMaxColumns) return at_line(where_, row.line, "more than 4096 columns");
      if (at_line_end()) break;
      ++at_;  // the delimiter
    }
    pass_line_end();
    return {};
  }

  Status read_quoted(std::string& field) {
    const std::uint64_t begin = line_;
    ++at_;
    for (;;) {
      if (at_ == text_.size()) return at_line(where_, begin, "a quoted field is never closed", "close the quote");
      const char c = text_[at_++];
      if (c == '"') {
        if (at_ < text_.size() && text_[at_] == '"') {
          ++at_;
        } else {
          break;
        }
      }
      if (c == '\n') ++line_;
      if (c == '\r' && at_ < text_.size() && text_[at_] == '\n') continue;
      field.push_back(c);
    }
    if (!at_line_end() && text_[at_] != delimiter_)
      return at_line(where_, line_, "text follows a closing quote", "a quote inside a quoted field is written twice");
    return {};
  }

  std::string_view text_;
  char delimiter_;
  bool quotes_;
  const std::string& where_;
  std::size_t at_ = 0;
  std::uint64_t line_ = 1;
};

bool some_column_is_quoted(const Table& table) {
  const auto quoted = [](const std::string& f) { return f.size() >= 2 && f.front() == '"' && f.back() == '"'; };
  for (std::size_t c = 0; c < table.columns(); ++c) {
    bool all = !table.rows.empty();
    for (const Row& row : table.rows) all = all && quoted(row.fields[c]);
    if (all) return true;
  }
  return false;
}

}  // namespace

Result<Table> parse_csv(std::string_view text, const std::string& where) {
  return Reader(text, ',', true, where).read();
}

Result<Table> parse_tsv(std::string_view text, const std::string& where) {
  auto plain = Reader(text, '\t', false, where).read();
  if (plain.has_value() && !some_column_is_quoted(*plain)) return plain;
  auto quoted = Reader(text, '\t', true, where).read();
  return quoted.has_value() ? std::move(quoted) : std::move(plain);
}

}  // namespace fathom::data
