// Savings relative to base, comparisons with the honest rivals, and the demo's gates (docs/formats/eval.md), from a
// finished eval.json's systems and sections. Pure functions of JSON. A gate that could not be measured is null, not
// met.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace fathom::eval {

const Json* find_system(const Json& eval, const std::string& name);  // null if absent

// {macs, ms_batch1, ms_batch32}: 1 - fathom / base; null where a time is missing.
Json savings_section(const Json& eval);

// List of {what, kind ("quality" | "time"), value, limit, sense (">=" or "<="), met}: what `fathom demo` is held to.
Json gates_section(const Json& eval);

// Runs in which the engine answered or stopped otherwise than the simulation from the trace said.
std::size_t engine_differences(const Json& eval);

// The quality gates that were not met, one sentence each; engine_differences() is one whether gates are there or not.
// Times are aims: they hang on the machine and on who else uses it, so they are told and fail nothing.
std::vector<std::string> failed_gates(const Json& eval);

}  // namespace fathom::eval
