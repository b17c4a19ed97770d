// The rule behind the generated tasks "relay" (text) and "strip" (pictures): which depth an example needs is known.
//
// An example is a row of 10 places read from the left. Each place holds one symbol: a class word, one of two
// flips, or a filler. The deciding place is the first class word; its place number d (1..10) is the complexity.
// The answer starts as that word's class 0..3. Walking from the deciding place back to place 1, each flip met
// changes it: swap: a -> a xor 1 (0 <-> 1, 2 <-> 3); cross: a -> a xor 2 (0 <-> 2, 1 <-> 3). The two commute:
// with a turn by one in place of the cross the task needs no more depth, but plain training learns it more slowly.
// With CLS in front and attention to direct neighbours only, the answer reaches CLS after d layers, not before;
// until the deciding place is seen every class is equally likely.
// Ten places, not as many as the demo model has layers: plain training needs a layer or two of slack to learn the
// farthest.
//
// Drawing: the pair (1-2, 3-4, .., 9-10) of d by .45 .22 .14 .10 .09, d evenly within it (examples to train on:
// every d as often, since far evidence is what takes practice); the deciding class
// and word evenly; places before d: a flip with p = .1, else a filler; places beyond d: a class word (decoy) with
// p = .3, else as before d.
// Thread rule: pure functions of the Random given.
#pragma once

#include <array>
#include <cstdint>

#include "base/random.h"

namespace fathom::data {

inline constexpr int kRelayPlaces = 10, kRelayClasses = 4, kRelayVariants = 4, kRelayFillers = 24;

struct RelaySymbol {
  enum Kind : std::uint8_t { class_word, flip, filler };
  Kind kind = filler;
  std::uint8_t group = 0;    // class word: its class; flip: 0 swap, 1 cross
  std::uint8_t variant = 0;  // class word: which of 4; filler: which of 24
};

struct RelayExample {
  std::array<RelaySymbol, kRelayPlaces> places;
  int distance = 0;  // place of the deciding word, 1..10
  int answer = 0;
};

enum class RelayDistances { natural, even };
RelayExample draw_relay(Random& random, RelayDistances distances = RelayDistances::natural);
// The rule alone: distance and answer from the places; distance 0 and answer -1 without a class word.
void apply_relay_rule(RelayExample& example);

}  // namespace fathom::data
