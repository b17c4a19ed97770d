// Rows and columns of text: what CSV, TSV and JSONL files become before columns are chosen.
// Errors: bad_input with file and line. Thread rule: plain values, pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"

namespace fathom::data {

struct Row {
  std::vector<std::string> fields;
  std::uint64_t line = 0;  // 1-based line where the row begins
};

struct Table {
  std::string where;                // quoted file name, for errors
  std::vector<std::string> header;  // empty: no header
  std::vector<Row> rows;            // every row has columns() fields
  std::size_t columns() const {
    return !header.empty() ? header.size() : rows.empty() ? 0 : rows.front().fields.size();
  }
};

bool is_table_name(const std::string& name);  // .csv .tsv .jsonl .ndjson, each also with .gz
// Reads by extension. CSV and TSV come back without a header (columns.h finds it); JSONL has one.
Result<Table> read_table(const fs::path& path);

// A BOM is dropped, CRLF read as LF, blank lines skipped; rows of differing width are refused.
// CSV: fields may be quoted, "" is a quote, quoted fields may hold line breaks.
Result<Table> parse_csv(std::string_view text, const std::string& where);
// TSV: as CSV with tabs when quotes are clearly meant, else quotes are ordinary characters (csv.cpp).
Result<Table> parse_tsv(std::string_view text, const std::string& where);
// One JSON object a line. Columns are the plain members of the first line; later lines must have them.
Result<Table> parse_jsonl(std::string_view text, const std::string& where);

}  // namespace fathom::data
