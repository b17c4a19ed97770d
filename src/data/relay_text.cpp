#include "data/relay_text.h"

namespace fathom::data {
namespace {

constexpr const char* kClassWords[kRelayClasses][kRelayVariants] = {{"otter", "horse", "rabbit", "falcon"},
                                                                    {"apple", "cherry", "lemon", "plum"},
                                                                    {"hammer", "chisel", "pliers", "wrench"},
                                                                    {"rain", "thunder", "snow", "fog"}};
constexpr const char* kFlipWords[2] = {"however", "instead"};  // swap, cross
constexpr const char* kFillers[kRelayFillers] = {
    "the",   "with", "near", "under", "very",  "some",  "just",  "also",  "then",  "there", "here",    "while",
    "about", "from", "over", "into",  "quite", "often", "again", "still", "early", "later", "perhaps", "around"};

}  // namespace

const char* relay_word(const RelaySymbol& symbol) {
  if (symbol.kind == RelaySymbol::class_word) return kClassWords[symbol.group][symbol.variant];
  return symbol.kind == RelaySymbol::flip ? kFlipWords[symbol.group] : kFillers[symbol.variant];
}

std::string relay_text(const RelayExample& example) {
  std::string text;
  for (const RelaySymbol& symbol : example.places) {
    if (!text.empty()) text += ' ';
    text += relay_word(symbol);
  }
  return text;
}

}  // namespace fathom::data
