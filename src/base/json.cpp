#include "base/json.h"

#include <set>
#include <vector>

namespace fathom {
namespace {

constexpr int kMaxDepth = 64;

Error wrong(const std::string& where, const char* key, const std::string& what) {
  return {Code::corrupt_bundle, where + ": '" + key + "' " + what, ""};
}

}  // namespace

Result<Json> parse_json(std::string_view text, const std::string& where, Code code) {
  std::vector<std::set<std::string>> keys;
  std::string refused;
  const auto watch = [&](int depth, Json::parse_event_t event, Json& parsed) {
    using Event = Json::parse_event_t;
    if (depth > kMaxDepth) refused = "nested deeper than " + std::to_string(kMaxDepth);
    if (!refused.empty()) return false;
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end && !keys.empty()) keys.pop_back();
    if (event == Event::key && !keys.empty() && !keys.back().insert(parsed.get<std::string>()).second)
      refused = "key '" + parsed.get<std::string>() + "' stands twice";
    return refused.empty();
  };
  try {
    Json json = Json::parse(text.begin(), text.end(), watch);
    if (!refused.empty()) return Error{code, where + ": JSON " + refused, ""};
    return json;
  } catch (const Json::exception& e) {
    return Error{code, where + ": not valid JSON: " + e.what(), "the file is damaged; make it again"};
  }
}

Result<std::int64_t> json_int(const Json& object, const char* key, std::int64_t low, std::int64_t high,
                              const std::string& where) {
  const auto it = object.is_object() ? object.find(key) : object.end();
  if (!object.is_object() || it == object.end()) return wrong(where, key, "is missing");
  if (!it->is_number_integer()) return wrong(where, key, "must be a whole number");
  if (it->is_number_unsigned() && it->get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX))
    return wrong(where, key, "is out of range");
  const auto value = it->get<std::int64_t>();
  if (value < low || value > high)
    return wrong(where, key,
                 "is " + std::to_string(value) + ", must lie in " + std::to_string(low) + ".." + std::to_string(high));
  return value;
}

Result<double> json_number(const Json& object, const char* key, double low, double high, const std::string& where) {
  const auto it = object.is_object() ? object.find(key) : object.end();
  if (!object.is_object() || it == object.end()) return wrong(where, key, "is missing");
  if (!it->is_number()) return wrong(where, key, "must be a number");
  const auto value = it->get<double>();
  if (!(value >= low && value <= high)) return wrong(where, key, "is out of range");
  return value;
}

Result<std::string> json_string(const Json& object, const char* key, const std::string& where) {
  const auto it = object.is_object() ? object.find(key) : object.end();
  if (!object.is_object() || it == object.end()) return wrong(where, key, "is missing");
  if (!it->is_string()) return wrong(where, key, "must be text");
  return it->get<std::string>();
}

Result<bool> json_bool(const Json& object, const char* key, const std::string& where) {
  const auto it = object.is_object() ? object.find(key) : object.end();
  if (!object.is_object() || it == object.end()) return wrong(where, key, "is missing");
  if (!it->is_boolean()) return wrong(where, key, "must be true or false");
  return it->get<bool>();
}

}  // namespace fathom
