// Rows and columns of text: what CSV, TSV and JSONL files are before columns are chosen. A table keeps its file's text
// and facts of its columns; a row lives while it is visited, so that memory is the file's size, however many fields.
// Errors: bad_input with file and line. Thread rule: plain values, pure functions.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/file.h"
#include "base/result.h"

namespace fathom::data {

enum class Cell : std::uint8_t { text, null, absent, nested };  // null and the rest: JSONL only

struct Row {
  std::vector<std::string> fields;
  std::vector<Cell> cells;  // of each field; empty: all are text
  std::uint64_t line = 0;   // 1-based line where the row begins
};

// What a column holds, the first row apart from the rest: it may be a header.
struct ColumnFacts {
  std::string first;
  bool first_returns = false;            // in a later row
  bool numbers = true, integers = true;  // every later row
  bool short_values = true;              // every later row has 64 bytes at most
  std::size_t phrases = 0;               // later rows with a blank inside
  bool many = false;                     // more than kMaxClasses values in later rows; then `values` is not complete
  std::unordered_map<std::uint64_t, std::uint32_t> values;  // hash of a later value -> how often
};

inline constexpr std::size_t kMaxClasses = 1000;

enum class TableKind { csv, tsv, quoted_tsv, jsonl };

struct Table {
  TableKind kind = TableKind::csv;
  std::string where;                 // quoted file name, for errors
  std::string text;                  // the whole file
  std::vector<std::string> header;   // empty: no header
  bool first_row_is_header = false;  // CSV and TSV; visit() then begins behind it
  std::vector<ColumnFacts> columns;
  std::size_t rows = 0;  // the header's not counted once it is known to be one

  // Every row in order, each with columns.size() fields. The row is gone when the call is over.
  Status visit(const std::function<Status(Row&)>& each) const;
};

bool is_table_name(const std::string& name);  // .csv .tsv .jsonl .ndjson, each also with .gz, in any case
// Reads by extension. CSV and TSV come back without a header (columns.h finds it); JSONL has one.
Result<Table> read_table(const fs::path& path);

// A BOM is dropped, CRLF read as LF, blank lines skipped; rows of differing width are refused.
// CSV: fields may be quoted, "" is a quote, quoted fields may hold line breaks.
// TSV: as CSV with tabs when quotes are clearly meant, else quotes are ordinary characters (csv.cpp).
// JSONL: one object a line. Columns are the first line's members that are no list or object; of a later line that
// lacks one or has a list there, the cell says so.
Result<Table> parse_csv(std::string text, const std::string& where);
Result<Table> parse_tsv(std::string text, const std::string& where);
Result<Table> parse_jsonl(std::string text, const std::string& where);

// "fields seem to be separated by ';'" where they are, by something else than `own`; else "".
std::string other_separator(std::string_view text, char own);

// The two kinds of visit (csv.cpp, jsonl.cpp); `columns` is the header of JSONL.
Status visit_separated(const Table& table, const std::function<Status(Row&)>& each);
Status visit_objects(const Table& table, const std::function<Status(Row&)>& each);
Result<std::vector<std::string>> first_members(const Table& table);  // of JSONL: its columns
bool is_integer(std::string_view text);

}  // namespace fathom::data
