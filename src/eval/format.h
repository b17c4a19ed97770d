// Numbers as people read them, shared by the terminal table and the report. Missing values become an em dash.
#pragma once

#include <string>

#include "base/json.h"

namespace fathom::eval {

std::string fixed(double value, int digits);
std::string percent(const Json& fraction, int digits = 2);  // 0.9765 -> "97.65 %"
std::string points(const Json& difference);                 // -0.0012 -> "-0.12"
std::string macs_text(const Json& macs);                    // 5320000 -> "5.32 M"
std::string grouped(std::uint64_t value);                   // 10000 -> "10,000"
std::string number_text(const Json& value, int digits);
std::string ms_text(const Json& ms);  // digits by size

// What a system is, in a few words (describe_system: of a row, a rival's too), and how its setting was found.
std::string system_title(const std::string& name);
std::string describe_system(const Json& system);
std::string setting_text(const Json& system);

std::string text_of(const Json& object, const char* key);  // "" where there is no text
// For a terminal: control characters and marks that turn the direction of writing become U+FFFD.
std::string plain_text(const std::string& text);

}  // namespace fathom::eval
