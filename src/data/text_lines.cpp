#include "data/text_lines.h"

#include <algorithm>

#include "data/line_reader.h"

namespace fathom::data {

Result<std::vector<std::string>> read_text_lines(const std::filesystem::path& file) {
  constexpr std::uint64_t kMaxBytes = std::uint64_t{1} << 32;
  FATHOM_TRY(LineReader reader, LineReader::open(file));
  std::vector<std::string> lines;
  std::uint64_t bytes = 0;
  for (;;) {
    FATHOM_TRY(auto line, reader.next());
    if (!line) break;
    if (line->empty()) continue;
    bytes += line->size();
    if (bytes > kMaxBytes)
      return Error{Code::limit, reader.where() + ": more than " + std::to_string(kMaxBytes) + " bytes of text",
                   "split the file"};
    lines.push_back(std::move(*line));
  }
  if (lines.empty()) return Error{Code::bad_input, reader.where() + " holds no text", "give texts, one a line"};
  return lines;
}

Result<std::pair<std::string, std::string>> split_pair(const std::string& line, const std::string& where) {
  const std::size_t tab = line.find('\t');
  if (tab == std::string::npos || line.find('\t', tab + 1) != std::string::npos)
    return Error{Code::bad_input,
                 where + ": expected two texts with one TAB between them, got " +
                     std::to_string(std::count(line.begin(), line.end(), '\t')) + " TABs",
                 "write a pair as FIRST<TAB>SECOND"};
  return std::pair(line.substr(0, tab), line.substr(tab + 1));
}

Status split_pairs(std::vector<std::string>& texts, std::vector<std::string>& second, const std::string& where) {
  for (std::size_t i = 0; i < texts.size(); ++i) {
    FATHOM_TRY(auto pair, split_pair(texts[i], where + ", text " + std::to_string(i + 1)));
    texts[i] = std::move(pair.first);
    second.push_back(std::move(pair.second));
  }
  return {};
}

}  // namespace fathom::data
