// JSON in and out. Reading is for untrusted files: depth is capped at 64, duplicate keys are refused.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace fathom {

using Json = nlohmann::ordered_json;

// Parses `text`; `where` names the file in errors (code: bad_input unless given).
Result<Json> parse_json(std::string_view text, const std::string& where, Code code = Code::bad_input);

// Typed member access with range check: error names `where` and the key.
Result<std::int64_t> json_int(const Json& object, const char* key, std::int64_t low, std::int64_t high,
                              const std::string& where);
Result<double> json_number(const Json& object, const char* key, double low, double high, const std::string& where);
Result<std::string> json_string(const Json& object, const char* key, const std::string& where);
Result<bool> json_bool(const Json& object, const char* key, const std::string& where);

}  // namespace fathom
