// Which layers' packed weights are held in memory under a budget of bytes: layers stay in proportion to how often
// inputs choose them, an exponential moving average of weight 0.9 (the paper's probability-driven memory pool). Weights
// are mapped from a file, so an evicted layer is unmapped and comes back by being read: results never change. The
// average begins with what the calibrate split did, where the bundle says it. Which layer is read ahead: the next of a
// trajectory that is known; else the next one, if the decision so far (outlook.h) or the average makes it likely.
//   hit         the layer was in memory
//   read ahead  it was not, but it was expected, and reading had begun while the layer before it ran
//   miss        it was not, and the run waited for all of it
// Bytes are of layers alone; embeddings, heads and decision are held besides. Pages at a layer's two ends stay (large
// ones: 2 MB). Thread rule: one run at a time. Allocates nothing once made; where nothing is missing it makes no system
// call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/engine.h"

namespace fathom::engine {

class Residency {
 public:
  // `layers`: each layer's bytes in the mapping. budget >= the largest. forget: evicted layers leave the page cache
  // too.
  Residency(std::vector<std::span<const std::byte>> layers, std::size_t budget, bool forget);

  void start(std::size_t inputs);  // that many inputs begin: the average moves on
  // Before the first start: share of inputs that run each layer.
  void seed(std::span<const double> shares);
  void expect(std::uint64_t trajectory);  // bit l - 1: some input of this start will run layer l
  void outlook(double chance);  // that some input of the next enter() will run the layer after it; for that one alone
  void enter(std::size_t layer, std::size_t inputs);  // before layer `layer` (0-based) runs on that many of them
  const ResidencyReport& report() const { return report_; }
  double share(std::size_t layer) const { return layers_[layer].chosen; }  // the moving average, 0..1

 private:
  struct Layer {
    std::span<const std::byte> bytes;
    double chosen = 0;       // average share of inputs that ran it
    std::uint64_t used = 0;  // when it ran last
    bool held = false, reading = false;
  };
  void make_room(std::size_t bytes, std::size_t keep);
  void read_ahead(std::size_t after);
  bool expected_after(std::size_t layer, std::size_t next) const;

  std::vector<Layer> layers_;
  bool forget_;
  double weight_ = 0;  // of one input that begins now
  std::uint64_t expected_ = 0, clock_ = 0;
  double outlook_ = -1;  // below 0: not known
  ResidencyReport report_;
};

}  // namespace fathom::engine
