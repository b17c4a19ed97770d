// The report's part about classes: how many there are of each, how often they are found, what they are taken for; and
// the sentence that says when a shallow model would do. Every text is escaped. Pure functions of eval.json.
#pragma once

#include <string>

#include "base/json.h"

namespace fathom::eval {

std::string classes_section_html(const Json& eval);  // empty without "by_class"

// "One layer is enough here: ..." where a model of fixed depth answers as well as full depth and costs no more than the
// adaptive one; else empty. Plain text.
std::string enough_text(const Json& eval);

}  // namespace fathom::eval
