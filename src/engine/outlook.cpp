#include "engine/outlook.h"

#include <algorithm>

namespace fathom::engine {
namespace {

constexpr double kKeep = 0.98;  // weight of the past, an input asked
constexpr double kPrior = 4;    // inputs that the seed counts for in each band

}  // namespace

Outlook::Outlook(int layers, std::size_t places) : exits_(static_cast<std::size_t>(layers)), band_(places, 0) {}

void Outlook::seed(std::span<const double> exits) {
  double reach = 1;
  for (std::size_t e = 0; e < exits_.size() && e < exits.size(); ++e) {
    const double stopped = reach > 0 ? std::clamp(exits[e] / reach, 0.0, 1.0) : 1.0;
    exits_[e].fill({kPrior, kPrior * stopped});
    reach -= exits[e];
  }
}

void Outlook::begin(std::size_t place) { band_[place] = 0; }

double Outlook::goes_on(int exit, std::size_t place) const {
  const Tally& tally = exits_[static_cast<std::size_t>(exit - 1)][band_[place]];
  return tally.asked > 0 ? 1 - tally.stopped / tally.asked : 0.5;
}

void Outlook::learn(int exit, std::size_t place, double score_share, bool stopped) {
  Tally& tally = exits_[static_cast<std::size_t>(exit - 1)][band_[place]];
  tally.asked = kKeep * tally.asked + 1;
  tally.stopped = kKeep * tally.stopped + (stopped ? 1 : 0);
  band_[place] = score_share < 0.5 ? 1 : score_share < 0.75 ? 2 : score_share < 0.9 ? 3 : 4;
}

}  // namespace fathom::engine
