#include "data/tally.h"

#include <algorithm>
#include <array>
#include <functional>

#include "data/relay_text.h"

namespace fathom::data {
namespace {

constexpr double kTopicWord = .25, kFavourite = .31;

std::uint8_t pick(Random& random, int count) {
  return static_cast<std::uint8_t>(random.below(static_cast<std::uint64_t>(count)));
}

RelaySymbol draw_word(Random& random, int favourite) {
  if (!random.chance(kTopicWord)) return {RelaySymbol::filler, 0, pick(random, kRelayFillers)};
  const int topic =
      random.chance(kFavourite) ? favourite : (favourite + 1 + pick(random, kRelayClasses - 1)) % kRelayClasses;
  return {RelaySymbol::class_word, static_cast<std::uint8_t>(topic), pick(random, kRelayVariants)};
}

}  // namespace

TallyText draw_tally(Random& random, int longest) {
  for (;;) {
    const int favourite = pick(random, kRelayClasses), shortest = longest / 4;
    const int count = shortest + static_cast<int>(random.below(static_cast<std::uint64_t>(longest - shortest + 1)));
    TallyText text;
    std::array<int, kRelayClasses> counts{};
    for (int i = 0; i < count; ++i) {
      const RelaySymbol symbol = draw_word(random, favourite);
      if (symbol.kind == RelaySymbol::class_word) ++counts[symbol.group];
      if (i > 0) text.words += ' ';
      text.words += relay_word(symbol);
    }
    text.answer = static_cast<int>(std::max_element(counts.begin(), counts.end()) - counts.begin());
    std::sort(counts.begin(), counts.end(), std::greater<>());
    if (counts[0] >= counts[1] + kTallyLead) return text;
  }
}

}  // namespace fathom::data
