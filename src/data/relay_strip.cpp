#include "data/relay_strip.h"

#include <algorithm>

namespace fathom::data {
namespace {

using Patch = std::array<float, kPatchSide * kPatchSide * 3>;

constexpr float kNoise = .1f, kDim = .35f;
constexpr std::array<const char*, kRelayClasses> kShapes = {
    "........"
    ".######."
    ".######."
    ".######."
    ".######."
    ".######."
    ".######."
    "........",  // square
    "########"
    "########"
    "##....##"
    "##....##"
    "##....##"
    "##....##"
    "########"
    "########",  // ring
    "...##..."
    "...##..."
    "...##..."
    "########"
    "########"
    "...##..."
    "...##..."
    "...##...",  // cross
    "##......"
    "##......"
    "####...."
    "####...."
    "######.."
    "######.."
    "########"
    "########"};  // stairs
constexpr float kColours[kRelayVariants][3] = {{.9f, .15f, .15f}, {.15f, .8f, .2f}, {.2f, .3f, .95f}, {.85f, .8f, .1f}};

struct Patches {
  Patch words[kRelayClasses][kRelayVariants]{};
  Patch flips[2]{};
  Patch fillers[kRelayFillers]{};
};

Patches make_patches() {
  Patches patches;
  for (std::size_t g = 0; g < kRelayClasses; ++g)
    for (std::size_t v = 0; v < kRelayVariants; ++v)
      for (std::size_t i = 0; i < patches.words[g][v].size(); ++i)
        patches.words[g][v][i] = kShapes[g][i / 3] == '#' ? kColours[v][i % 3] : 0.f;
  for (std::size_t i = 0; i < patches.flips[0].size(); ++i) {
    const std::size_t y = i / 3 / kPatchSide, x = i / 3 % kPatchSide;
    patches.flips[0][i] = y < kPatchSide / 2 ? .5f : 0.f;
    patches.flips[1][i] = x < kPatchSide / 2 ? .5f : 0.f;
  }
  // The textures are the task's vocabulary: the same for every seed.
  Random random(0, "strip textures");
  for (Patch& filler : patches.fillers)
    for (float& value : filler) value = kDim * static_cast<float>(random.uniform());
  return patches;
}

const Patch& patch_of(const RelaySymbol& symbol) {
  static const Patches kPatches = make_patches();
  if (symbol.kind == RelaySymbol::class_word) return kPatches.words[symbol.group][symbol.variant];
  return symbol.kind == RelaySymbol::flip ? kPatches.flips[symbol.group] : kPatches.fillers[symbol.variant];
}

// Four 16-bit uniforms of one draw, summed: near normal, standard deviation 1, within +-3.47.
float quick_normal(Random& random) {
  const std::uint64_t bits = random.next();
  const auto sum = static_cast<float>((bits & 0xFFFF) + (bits >> 16 & 0xFFFF) + (bits >> 32 & 0xFFFF) + (bits >> 48));
  return (sum / 65535.f - 2.f) * 1.7320508f;  // a sum of four uniforms has variance 4/12
}

}  // namespace

void draw_strip(const RelayExample& example, Random& random, std::uint8_t* out) {
  const float brightness = .8f + .4f * static_cast<float>(random.uniform());
  for (std::size_t y = 0; y < kPatchSide; ++y)
    for (const RelaySymbol& symbol : example.places) {
      const float* in = patch_of(symbol).data() + y * kPatchSide * 3;
      for (std::size_t i = 0; i < kPatchSide * 3; ++i) {
        const float value = in[i] * brightness + kNoise * quick_normal(random);
        *out++ = static_cast<std::uint8_t>(std::clamp(value, 0.f, 1.f) * 255.f + .5f);
      }
    }
}

}  // namespace fathom::data
