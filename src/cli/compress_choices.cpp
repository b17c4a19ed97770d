#include "cli/compress_choices.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <vector>

namespace fathom::cli {
namespace {

// "40%" or "0.4": 0.4; nothing where it is no number.
std::optional<double> number(const std::string& text) {
  const bool percent = text.ends_with('%');
  const char* end = text.data() + text.size() - (percent ? 1 : 0);
  double value = 0;
  const auto [read, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || read != end) return std::nullopt;
  return percent ? value / 100 : value;
}

struct Item {
  std::string text, name, value;  // "ffn=40%", "ffn", "40%"; without '=' the name is all
};

std::vector<Item> items(const std::string& text) {
  std::vector<Item> out;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    const std::string part = text.substr(at, end - at);
    const std::size_t equals = std::min(part.find('='), part.size());
    out.push_back({part, part.substr(0, equals), equals < part.size() ? part.substr(equals + 1) : ""});
    at = end + 1;
  }
  return out;
}

Status read_prune(const std::string& text, CompressChoices& out) {
  const auto wrong = [&](const std::string& what) {
    return Error{Code::usage, "--prune '" + text + "': " + what,
                 "give shares to take out, as in --prune heads=25%,ffn=40%, or weights=50% (weights=2:4; with ,gradual "
                 "or ,movement) to set to zero"};
  };
  std::string how;
  for (const Item& item : items(text)) {
    if (item.text == "gradual" || item.text == "movement") {
      if (!how.empty()) return wrong("'" + how + "' and '" + item.text + "' are two");
      how = item.text;
      out.zeroing = how == "gradual" ? Zeroing::gradual : Zeroing::movement;
      continue;
    }
    if (item.name != "heads" && item.name != "ffn" && item.name != "weights")
      return wrong("'" + item.name + "' cannot be pruned");
    if (item.text == "weights=2:4") {
      out.zeros = {0, true};
      continue;
    }
    const auto value = number(item.value);
    if (!value)
      return wrong("'" + item.text + (item.name == "weights" ? "' is neither a share nor 2:4" : "' has no number"));
    if (!(*value >= 0 && *value < 1)) return wrong("'" + item.text + "' must lie from 0 to below 100 %");
    if (item.name == "weights")
      out.zeros = {*value, false};
    else
      (item.name == "heads" ? out.prune.heads : out.prune.ffn) = *value;
  }
  if (!how.empty() && !out.zeroes()) return wrong("'" + how + "' is how weights become zero, and none would");
  return {};
}

Result<compress::FoldChoice> read_fold(const std::string& text) {
  const auto wrong = [&](const std::string& what) {
    return Error{Code::usage, "--fold '" + text + "': " + what,
                 "give what the outputs keep, as in --fold 90%, or ranks, as in --fold qkv=96,f1=128 (0: one matrix)"};
  };
  compress::FoldChoice out;
  for (const Item& item : items(text)) {
    if (item.text == "shared" || item.text == "weights") {
      (item.text == "shared" ? out.shared : out.by_weights) = true;
      continue;
    }
    const auto map = std::find(compress::kMapNames.begin(), compress::kMapNames.end(), item.name);
    const bool rank = map != compress::kMapNames.end();
    const auto value = number(rank ? item.value : item.text);
    if (!value)
      return wrong("'" + item.text +
                   "' is neither a share nor qkv, o, f1 or f2 with a rank, nor 'shared', nor 'weights'");
    if (!rank) {
      if (!(*value > 0 && *value < 1)) return wrong("'" + item.text + "' must lie between 0 and 100 %");
      out.energy = *value;
      continue;
    }
    const int whole = static_cast<int>(std::clamp(*value, -1.0, 1e6));
    if (whole < 0 || static_cast<double>(whole) != *value || item.value.ends_with('%'))
      return wrong("'" + item.text + "' is no rank");
    out.ranks[static_cast<std::size_t>(map - compress::kMapNames.begin())] = whole;
  }
  if (!out.any()) return wrong("it names no share and no rank");
  return out;
}

Result<double> read_width(const std::string& text) {
  const auto value = number(text);
  const bool percent = text.ends_with('%');
  if (!value || !(*value > 0) || (percent ? *value >= 1 : *value != static_cast<double>(static_cast<long>(*value))) ||
      *value > 1e6)
    return Error{Code::usage, "--word-width '" + text + "' is neither a number of values nor a share below 100 %",
                 "give --word-width 50%, or 192"};
  return *value;
}

}  // namespace

Result<double> read_epochs(const std::string& text) {
  const auto value = number(text);
  if (!value || text.ends_with('%') || !(*value >= 0.01 && *value <= 1000))
    return Error{Code::usage, "--tune '" + text + "' is no number of passes from 0.01 to 1000", "give --tune 3, say"};
  return *value;
}

Result<CompressChoices> read_choices(CompressWords words) {
  if (!words.preset.empty()) {
    if (words.word_width.empty()) words.word_width = "50%";
    if (words.prune.empty()) words.prune = "ffn=50%";
    if (words.precision.empty()) words.precision = "int8";
  }
  CompressChoices out;
  if (!words.word_width.empty()) {
    FATHOM_TRY(out.word_width, read_width(words.word_width));
  }
  if (!words.prune.empty()) {
    FATHOM_TRY_VOID(read_prune(words.prune, out));
  }
  if (!words.fold.empty()) {
    FATHOM_TRY(out.fold, read_fold(words.fold));
  }
  if (out.zeroes() && out.folds())
    return Error{Code::usage, "--prune weights and --fold: zeros in the factors of folded maps are not looked for",
                 "take one of them"};
  if (!words.tune.empty()) {
    FATHOM_TRY(out.tune, read_epochs(words.tune));
  }
  if (!words.precision.empty()) {
    FATHOM_TRY(out.precision, parse_precision(words.precision));
  }
  if (out.tunes() && !out.trainable())
    return Error{Code::usage, "--tune trains what became smaller or is in int8, and nothing would",
                 "add --preset compact, --word-width, --prune, --fold or --precision int8"};
  if (out.zeroes() && !out.zeroes_at_once() && !out.tunes())
    return Error{Code::usage,
                 "--prune weights with 'gradual' or 'movement' sets weights to zero while they are trained, and "
                 "nothing would be",
                 "add --tune 2, or leave the word out: then they go at once"};
  if (!out.smaller() && !out.zeroes() && !out.rounds())
    return Error{Code::usage, "nothing to do",
                 "give --preset compact, or what to do: --word-width, --prune, --fold (with --tune), --precision"};
  return out;
}

}  // namespace fathom::cli
