// relay as words: every symbol of relay.h is one lower-case word. Thread rule: pure functions.
#pragma once

#include <array>
#include <string>

#include "data/relay.h"

namespace fathom::data {

inline constexpr std::array<const char*, kRelayClasses> kRelayNames = {"animal", "fruit", "tool", "weather"};
const char* relay_word(const RelaySymbol& symbol);
std::string relay_text(const RelayExample& example);  // 12 words with single spaces

}  // namespace fathom::data
