// relay as a picture: 10 patches of 8x8 RGB side by side (8x80), one a symbol. A class word is one of 4 shapes (the
// class) in one of 4 colours (the variant) on black; the swap flip is a patch whose upper half is half-bright, the
// cross flip one whose left half is; a filler is one of 24 fixed dim random textures. Then brightness x .8 to 1.2
// (one factor a picture) and noise of standard deviation .1 on every value, clipped to 0..1.
// With the model's own CLS token in front, strip and text are both 11 tokens long.
// Thread rule: pure functions of the Random given.
#pragma once

#include <array>
#include <vector>

#include "data/relay.h"

namespace fathom::data {

inline constexpr int kPatchSide = 8, kStripHeight = kPatchSide, kStripWidth = kPatchSide * kRelayPlaces;
inline constexpr std::size_t kStripBytes = std::size_t{kStripHeight} * kStripWidth * 3;
inline constexpr std::array<const char*, kRelayClasses> kStripNames = {"square", "ring", "cross", "stairs"};

// Writes kStripBytes values, [8][80][3], to `out`.
void draw_strip(const RelayExample& example, Random& random, std::uint8_t* out);

}  // namespace fathom::data
