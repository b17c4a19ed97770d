// The keys of a checkpoint's config.json that Fathom uses, or that say nothing about an answer. What else stands there
// may matter: it is listed, so that somebody looks. Thread rule: pure functions.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace fathom {

// Keys of neither kind whose value is not null, false or empty. timm: of its own config.json.
std::vector<std::string> unknown_config_keys(const Json& config, bool timm);

}  // namespace fathom
