// Savings relative to base, comparisons with the honest rivals, and the gates of DESIGN section 8, from a finished
// eval.json's systems and sections. Pure functions of JSON. A gate that could not be measured is null, not met.
#pragma once

#include "base/json.h"

namespace fathom::eval {

const Json* find_system(const Json& eval, const std::string& name);  // null if absent

// {macs, ms_batch1, ms_batch32}: 1 - fathom / base; null where a time is missing.
Json savings_section(const Json& eval);

// List of {what, value, limit, sense (">=" or "<="), met}.
Json gates_section(const Json& eval);

}  // namespace fathom::eval
