#include "eval/format.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

#include "eval/eval_json.h"

namespace fathom::eval {
namespace {

const char kMissing[] = "—";

}  // namespace

std::string fixed(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string number_text(const Json& value, int digits) {
  // NaN: a correlation with something constant. JSON has no word for it but null, so both are shown alike.
  return value.is_number() && std::isfinite(value.get<double>()) ? fixed(value.get<double>(), digits) : kMissing;
}

std::string percent(const Json& fraction, int digits) {
  return fraction.is_number() ? fixed(fraction.get<double>() * 100, digits) + " %" : kMissing;
}

std::string points(const Json& difference) {
  if (!difference.is_number()) return kMissing;
  const double value = std::round(difference.get<double>() * 1e4) / 1e2;
  return (value > 0 ? "+" : value < 0 ? "-" : "±") + fixed(std::abs(value), 2);
}

std::string macs_text(const Json& macs) {
  if (!macs.is_number()) return kMissing;
  const double value = macs.get<double>();
  for (const auto& [unit, scale] :
       {std::pair("T", 1e12), std::pair("G", 1e9), std::pair("M", 1e6), std::pair("K", 1e3)})
    if (value >= scale) return fixed(value / scale, value / scale < 100 ? 2 : 1) + " " + unit;
  return fixed(value, 0);
}

std::string grouped(std::uint64_t value) {
  std::string text = std::to_string(value);
  for (std::size_t at = text.size(); at > 3;) text.insert(at -= 3, ",");
  return text;
}

std::string ms_text(const Json& ms) {
  if (!ms.is_number()) return kMissing;
  const double value = ms.get<double>();
  return fixed(value, value < 0.1 ? 4 : value < 10 ? 3 : value < 100 ? 2 : 1);
}

std::string system_title(const std::string& name) {
  static const std::map<std::string, std::string> titles = {
      {"base", "Transformer-Base, plain"},
      {"full_depth", "the bundle's last exit"},
      {"fixed_depth", "one exit for all inputs"},
      {"early_exit", "calibrated max probability, at Fathom's MACs"},
      {"early_exit_calibrated", "calibrated max probability, at its own threshold"},
      {"dynamic_depth", "random layers dropped, at Fathom's MACs"},
      {"predictor_only", "complexity predictor alone"},
      {"policy_only", "LSTM policy alone"},
      {"fathom", "the bundle's own decision"},
      {"fathom_at_macs", "the same score, at the MACs asked for"}};
  const auto found = titles.find(name);
  return found == titles.end() ? name : found->second;
}

std::string describe_system(const Json& system) {
  if (!flag_or(member(system, "rival"), false)) return system_title(text_of(system, "name"));
  return "another model, " + number_text(member(system, "layers"), 0) + " layers, full depth";
}

std::string setting_text(const Json& system) {
  if (member(system, "exit").is_number()) return "exit " + number_text(member(system, "exit"), 0);
  if (member(system, "lambda").is_number()) return "λ " + number_text(member(system, "lambda"), 4);
  return "";
}

std::string text_of(const Json& object, const char* key) {
  const Json& value = member(object, key);
  return value.is_string() ? value.get<std::string>() : "";
}

std::string plain_text(const std::string& text) {
  constexpr const char* kUnknown = "\xEF\xBF\xBD";
  // U+061C, U+200E and U+200F, U+202A to U+202E, U+2066 to U+2069: what follows them is read in another order.
  const auto turns = [&](std::size_t at) -> std::size_t {
    const auto byte = [&](std::size_t i) {
      return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0u;
    };
    if (byte(0) == 0xD8 && byte(1) == 0x9C) return 2;
    if (byte(0) != 0xE2) return 0;
    if (byte(1) == 0x80 && (byte(2) == 0x8E || byte(2) == 0x8F || (byte(2) >= 0xAA && byte(2) <= 0xAE))) return 3;
    return byte(1) == 0x81 && byte(2) >= 0xA6 && byte(2) <= 0xA9 ? 3 : 0;
  };
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    const unsigned char c = static_cast<unsigned char>(text[i]);
    const std::size_t mark = turns(i);
    const bool control = (c < 32 && c != '\n' && c != '\t') || c == 127;
    if (mark > 0 || control) out += kUnknown;
    if (mark == 0 && !control) out += text[i];
    i += std::max<std::size_t>(mark, 1);
  }
  return out;
}

}  // namespace fathom::eval
