// eval.json as a file from outside: checked once when it is read, then looked into without looking past an end.
// check_eval_json: every known key that is there has its type and a sane size; lists are of bounded length. Errors:
// bad_input naming file and place, expected against got. member(): for documents that may lack keys (older versions
// wrote fewer). Thread rule: pure functions.
#pragma once

#include <string>

#include "base/json.h"

namespace fathom::eval {

Status check_eval_json(const Json& eval, const std::string& where);

const Json& member(const Json& object, const char* key);  // null where there is none
const Json& item(const Json& list, std::size_t index);    // null where there is none
double number_or(const Json& value, double otherwise);
bool flag_or(const Json& value, bool otherwise);

}  // namespace fathom::eval
