#include "data/relay.h"

namespace fathom::data {
namespace {

constexpr std::array kPairShare = {.45, .22, .14, .10, .09};
constexpr double kFlipChance = .1, kDecoyChance = .3;

std::uint8_t pick(Random& random, int count) {
  return static_cast<std::uint8_t>(random.below(static_cast<std::uint64_t>(count)));
}

int draw_distance(Random& random) {
  double u = random.uniform();
  int pair = 0;
  while (pair + 1 < static_cast<int>(kPairShare.size()) && u >= kPairShare[static_cast<std::size_t>(pair)])
    u -= kPairShare[static_cast<std::size_t>(pair++)];
  return 2 * pair + 1 + static_cast<int>(random.below(2));
}

RelaySymbol draw_class_word(Random& random) {
  const std::uint8_t group = pick(random, kRelayClasses);
  return {RelaySymbol::class_word, group, pick(random, kRelayVariants)};
}

RelaySymbol draw_between(Random& random) {
  if (random.chance(kFlipChance)) return {RelaySymbol::flip, pick(random, 2), 0};
  return {RelaySymbol::filler, 0, pick(random, kRelayFillers)};
}

}  // namespace

void apply_relay_rule(RelayExample& example) {
  example.distance = 0;
  example.answer = -1;
  std::size_t deciding = 0;
  while (deciding < example.places.size() && example.places[deciding].kind != RelaySymbol::class_word) ++deciding;
  if (deciding == example.places.size()) return;
  example.distance = static_cast<int>(deciding) + 1;
  example.answer = example.places[deciding].group;
  for (std::size_t p = deciding; p-- > 0;) {
    if (example.places[p].kind != RelaySymbol::flip) continue;
    example.answer = example.answer ^ (example.places[p].group == 0 ? 1 : 2);
  }
}

RelayExample draw_relay(Random& random, RelayDistances distances) {
  RelayExample example;
  const int distance = distances == RelayDistances::even ? 1 + pick(random, kRelayPlaces) : draw_distance(random);
  for (int place = 1; place <= kRelayPlaces; ++place) {
    RelaySymbol& symbol = example.places[static_cast<std::size_t>(place - 1)];
    const bool word = place == distance || (place > distance && random.chance(kDecoyChance));
    symbol = word ? draw_class_word(random) : draw_between(random);
  }
  apply_relay_rule(example);
  return example;
}

}  // namespace fathom::data
