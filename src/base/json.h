// JSON in and out: the one reader of documents. Reading is for untrusted files: time and memory grow with the text
// alone, depth is capped at 64, and a key that stands twice, bytes behind a NUL, text that is not UTF-8 or a number
// that no double holds end as one error with its place. What is then taken out of a document goes through json_*
// below, or is checked by hand: nlohmann's own accessors throw where a type is another one.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

// A contract of nlohmann's that is broken (a key that a constant object lacks) is an exception, never a wild read.
namespace fathom {
[[noreturn]] void json_contract_broken(const char* what);
}
#define JSON_ASSERT(x) ((x) ? static_cast<void>(0) : ::fathom::json_contract_broken(#x))
#include <nlohmann/json.hpp>

#include "base/json_map.h"
#include "base/result.h"

namespace fathom {

using Json = nlohmann::basic_json<JsonMap>;

// Parses `text`; `where` names the file in errors (code: bad_input unless given).
Result<Json> parse_json(std::string_view text, const std::string& where, Code code = Code::bad_input);

// The member, or null where there is none or `object` is no object.
const Json* json_find(const Json& object, const char* key);

// Typed member access with range check: error names `where` and the key.
Result<std::int64_t> json_int(const Json& object, const char* key, std::int64_t low, std::int64_t high,
                              const std::string& where);
Result<double> json_number(const Json& object, const char* key, double low, double high, const std::string& where);
Result<std::string> json_string(const Json& object, const char* key, const std::string& where);
Result<bool> json_bool(const Json& object, const char* key, const std::string& where);
// A member that is a list or an object; the pointer lives as long as `object`.
Result<const Json*> json_list(const Json& object, const char* key, const std::string& where);
Result<const Json*> json_object(const Json& object, const char* key, const std::string& where);

}  // namespace fathom
