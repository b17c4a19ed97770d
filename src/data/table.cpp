#include "data/table.h"

#include "data/gzip.h"

namespace fathom::data {
namespace {

std::string table_extension(std::string name) {
  if (name.ends_with(".gz")) name.resize(name.size() - 3);
  for (const char* extension : {".csv", ".tsv", ".jsonl", ".ndjson"})
    if (name.ends_with(extension) && name.size() > std::string_view(extension).size()) return extension;
  return "";
}

}  // namespace

bool is_table_name(const std::string& name) { return !table_extension(name).empty(); }

Result<Table> read_table(const fs::path& path) {
  const std::string where = "'" + path.string() + "'";
  const std::string extension = table_extension(path.filename().string());
  if (extension.empty())
    return Error{Code::bad_input, where + ": not a table", "give a .csv, .tsv or .jsonl file, or one of these as .gz"};
  FATHOM_TRY(std::string text, read_data_file(path));
  FATHOM_TRY(Table table, extension == ".csv"   ? parse_csv(text, where)
                          : extension == ".tsv" ? parse_tsv(text, where)
                                                : parse_jsonl(text, where));
  if (table.rows.empty()) return Error{Code::bad_input, where + ": holds no rows", "give a file with data"};
  return table;
}

}  // namespace fathom::data
