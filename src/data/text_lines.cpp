#include "data/text_lines.h"

#include <algorithm>

#include "base/file.h"

namespace fathom::data {

Result<std::vector<std::string>> read_text_lines(const std::filesystem::path& file) {
  constexpr std::size_t kMaxLine = std::size_t{1} << 20;
  const std::string where = "'" + file.string() + "'";
  FATHOM_TRY(const std::string bytes, read_file(file, std::uint64_t{1} << 32));
  if (bytes.find('\0') != std::string::npos)
    return Error{Code::bad_input, where + " is not a text file: it holds zero bytes",
                 "give a file of texts, one a line, or a data folder"};
  std::vector<std::string> lines;
  for (std::size_t begin = 0, number = 1; begin < bytes.size(); ++number) {
    const std::size_t end = std::min(bytes.find('\n', begin), bytes.size());
    const std::size_t last = end > begin && bytes[end - 1] == '\r' ? end - 1 : end;
    if (last - begin > kMaxLine)
      return Error{Code::limit,
                   where + ", line " + std::to_string(number) + ": " + std::to_string(last - begin) +
                       " bytes, at most 1048576 are read",
                   "one text a line"};
    if (last > begin) lines.emplace_back(bytes, begin, last - begin);
    begin = end + 1;
  }
  if (lines.empty()) return Error{Code::bad_input, where + " holds no text", "give texts, one a line"};
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
