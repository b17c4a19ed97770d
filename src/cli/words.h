// Small words for people: nearest names, sizes, trajectories, tables. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace fathom::cli {

// The known word nearest to `word` by edits (insert, delete, replace, swap), or "" if none is near.
std::string nearest(const std::string& word, const std::vector<std::string>& known);

std::string trajectory_text(std::uint64_t mask, int layers);  // "●●●○○○": layers that ran, first to last
std::string macs_text(double macs);                           // "1.24 MMAC"
std::string bytes_text(double bytes);                         // "3.1 MB"
std::string memory_text(const Json& memory);                  // eval::memory_json in a line
std::string one_line(const std::string& text,
                     std::size_t most);      // control characters and line breaks as spaces, cut with ...
std::string error_text(const Error& error);  // "error FTH-301: ...\n  next: ..."
int exit_code(Code code);

// CLI11 reads "[a,b]" as a list and takes it apart, even where it is a text. Such words travel behind a mark that it
// does not know (cli.cpp sets it); every option, and whoever reads the words that are left, takes it away again.
constexpr char kMark = '\x01';
inline std::string unmarked(std::string word) {
  if (word.starts_with(kMark)) word.erase(0, 1);
  return word;
}
inline std::vector<std::string> unmarked(std::vector<std::string> words) {
  for (std::string& word : words) word = unmarked(std::move(word));
  return words;
}

}  // namespace fathom::cli
