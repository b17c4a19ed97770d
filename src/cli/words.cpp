#include "cli/words.h"

#include <algorithm>
#include <cstdio>
#include <numeric>

#include "base/quote.h"

namespace fathom::cli {
namespace {

std::size_t edits(const std::string& a, const std::string& b) {
  std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
  std::iota(cost[0].begin(), cost[0].end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      cost[i][j] =
          std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0u : 1u)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
    }
  }
  return cost[a.size()][b.size()];
}

std::string scaled(double value, const char* unit) {
  const char* prefixes[] = {"", "k", "M", "G", "T"};
  int at = 0;
  while (value >= 999.5 && at < 4) value /= 1000, ++at;
  char text[64];
  std::snprintf(text, sizeof text, "%.3g %s%s", value, prefixes[at], unit);
  return text;
}

}  // namespace

std::string nearest(const std::string& word, const std::vector<std::string>& known) {
  std::string best;
  std::size_t fewest = std::max<std::size_t>(word.size() / 3, 1) + 1;  // about a third of the letters may differ
  if (word.size() > 64) return best;
  for (const std::string& candidate : known) {
    const std::size_t count = edits(word, candidate);
    if (count < fewest) {
      fewest = count;
      best = candidate;
    }
  }
  return best;
}

std::string trajectory_text(std::uint64_t mask, int layers) {
  std::string text;
  for (int l = 0; l < layers; ++l) text += (mask >> l & 1) != 0 ? "●" : "○";
  return text;
}

std::string macs_text(double macs) { return scaled(macs, "MAC"); }
std::string memory_text(const Json& memory) {
  char text[320];
  const auto count = [&](const char* name) { return memory[name].get<unsigned long long>(); };
  std::snprintf(text, sizeof text,
                "memory budget %.1f MB, %.1f MB of layers held at most; a layer was there %llu times, read ahead %llu, "
                "missed %llu; waited %.1f ms in all",
                memory["budget_mb"].get<double>(), memory["most_held_mb"].get<double>(), count("hits"),
                count("read_ahead"), count("misses"), memory["stall_ms"].get<double>());
  return text;
}
std::string bytes_text(double bytes) { return scaled(bytes, "B"); }

std::string one_line(const std::string& text, std::size_t most) {
  std::string spaced = text.substr(0, most + 8);  // enough to see that it is longer
  std::replace_if(
      spaced.begin(), spaced.end(), [](unsigned char c) { return c < 0x20 || c == 0x7F; }, ' ');
  return printable(spaced, most);
}

std::string error_text(const Error& error) {
  std::string text =
      "error FTH-" + std::to_string(static_cast<int>(error.code)) + ": " + printable_message(error.message);
  if (!error.hint.empty()) text += "\n  next: " + printable_message(error.hint);
  return text;
}

int exit_code(Code code) { return code == Code::cancelled ? 130 : static_cast<int>(code) / 100; }

}  // namespace fathom::cli
