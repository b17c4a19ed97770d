// CSV as RFC 4180 has it, and TSV, which comes in two forms: plain (a field is any text without TAB or line end)
// and spreadsheet exports (quoted fields). It is read as quoted only when that is clear: the plain
// reading has rows of differing width, or some column is in quotes in every row.
#include "data/plain_text.h"
#include "data/table.h"

namespace fathom::data {
namespace {

constexpr std::size_t kMaxColumns = 4096;

Error at_line(const std::string& where, std::uint64_t line, const std::string& what, const std::string& hint = "") {
  return {Code::bad_input, where + " line " + std::to_string(line) + ": " + what, hint};
}

class Reader {
 public:
  explicit Reader(const Table& table)
      : text_(table.text),
        delimiter_(table.kind == TableKind::csv ? ',' : '\t'),
        quotes_(table.kind != TableKind::tsv),
        where_(table.where) {
    if (text_.starts_with(kByteOrderMark)) at_ = kByteOrderMark.size();
  }

  Status read(const std::function<Status(Row&)>& each) {
    Row row;
    std::size_t width = 0;
    while (at_ < text_.size()) {
      if (skip_blank_line()) continue;
      row.line = line_;
      FATHOM_TRY_VOID(read_row(row));
      if (width == 0) width = row.fields.size();
      if (row.fields.size() != width) return uneven(row, width);
      FATHOM_TRY_VOID(each(row));
    }
    return {};
  }

 private:
  Error uneven(const Row& row, std::size_t width) const {
    const std::string other = other_separator(text_, delimiter_);
    return at_line(where_, row.line,
                   std::to_string(row.fields.size()) + " columns, but the first row has " + std::to_string(width) +
                       (other.empty() ? "" : "; " + other),
                   other.empty() ? "a field that holds the delimiter must be put in quotes"
                                 : "save it with commas between the fields, or as .tsv with tabs");
  }
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

  // Into the fields that the last row left, so that their memory serves again.
  Status read_row(Row& row) {
    std::size_t count = 0;
    for (;;) {
      if (count == kMaxColumns) return at_line(where_, row.line, "more than 4096 columns");
      if (count == row.fields.size()) row.fields.emplace_back();
      std::string& field = row.fields[count++];
      field.clear();
      if (quotes_ && at_ < text_.size() && text_[at_] == '"') {
        FATHOM_TRY_VOID(read_quoted(field));
      } else {
        const std::size_t begin = at_;
        while (!at_line_end() && text_[at_] != delimiter_) ++at_;
        field.assign(text_, begin, at_ - begin);
      }
      if (at_line_end()) break;
      ++at_;  // the delimiter
    }
    row.fields.resize(count);
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

}  // namespace

Status visit_separated(const Table& table, const std::function<Status(Row&)>& each) { return Reader(table).read(each); }

}  // namespace fathom::data
