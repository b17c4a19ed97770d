// What the running score says about the next checkpoint: how likely an input goes on past it. An input whose score was
// near lambda at one checkpoint often stops at the next, one that was far from it seldom does; how often, is counted
// while inputs run, in bands of score / lambda, beginning from the shares that the calibrate split stopped at. Only
// used to read layers ahead: no answer depends on it. Thread rule: one run at a time. Allocates nothing once made.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <vector>

namespace fathom::engine {

class Outlook {
 public:
  Outlook(int layers, std::size_t places);
  void seed(std::span<const double> exits);  // share of inputs that stop at exit 1..layers
  void begin(std::size_t place);             // a new input: it has no score yet
  double goes_on(int exit, std::size_t place) const;
  // After the checkpoint: its score as a share of lambda, and whether the input stopped.
  void learn(int exit, std::size_t place, double score_share, bool stopped);

 private:
  static constexpr std::size_t kBands = 5;  // no score yet; below 0.5, 0.75, 0.9, 1 of lambda
  struct Tally {
    double asked = 0, stopped = 0;
  };
  std::vector<std::array<Tally, kBands>> exits_;  // [layers]
  std::vector<std::size_t> band_;                 // by place
};

}  // namespace fathom::engine
