// CSV, TSV and JSONL from any bytes: a table whose rows have its columns, or an error.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "data/table.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace fathom::data;
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  for (const auto parse : {parse_csv, parse_tsv, parse_jsonl}) {
    const auto table = parse(std::string(text), "fuzz");
    if (!table) continue;
    std::size_t rows = 0;
    const auto seen = table->visit([&](Row& row) -> fathom::Status {
      FATHOM_CHECK(row.fields.size() == table->columns.size(), "ragged table accepted");
      ++rows;
      return {};
    });
    FATHOM_CHECK(seen.has_value() && rows == table->rows, "a second reading differs");
  }
  return 0;
}
