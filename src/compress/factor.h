// Maps that read alike as two factors: W_l x = L_l (R x), R [rank, in] for all of them. R is the one that keeps most of
// what the maps put out: the leading right singular vectors of W S, with S S^T the covariance of the inputs ("truncated
// SVD" of the paper where the inputs are unknown and S = I); L_l and the bias are then the least-squares fit of map l
// on its own inputs. Of one map, R is its principal components. Several maps count alike: each by the share of its own
// outputs' variance. Pure functions of their arguments; double precision, one order: same arguments, same bits. Thread
// rule: none shared.
#pragma once

#include <cstddef>
#include <vector>

#include "model/input_moments.h"

namespace fathom::compress {

struct MapToFold {
  std::vector<float> weights;        // [out, in]
  const Moments* moments = nullptr;  // of its inputs; null: unknown, all directions count alike
  std::size_t rows = 0;              // that the moments are of
};

struct Factors {
  std::vector<float> right;  // [rank, in]
  struct Left {
    std::vector<float> weights;      // [out, rank]
    std::vector<float> bias_change;  // [out]
    double lost = 0;  // of the variance of the map's outputs (of the weights' squares where inputs are unknown)
  };
  std::vector<Left> left;  // one a map
};

class Factoring {
 public:
  // maps: not empty, all of `in` inputs; most_rank: no more will be asked for.
  Factoring(const std::vector<MapToFold>& maps, std::size_t in, std::size_t most_rank);
  double kept(std::size_t rank) const;  // of the outputs' variance, the mean over the maps; rank up to all of `in`
  Factors take(std::size_t rank) const;

 private:
  struct Map {
    std::size_t out;
    std::vector<double> cross;      // W C R^T [out, most]
    std::vector<double> gram;       // R C R^T [most, most]
    std::vector<double> from_mean;  // W mean [out]
    double variance;                // trace of W C W^T
  };
  std::size_t in_, most_;
  std::vector<double> right_;       // R [most, in]
  std::vector<double> right_mean_;  // R mean of each map [maps, most]
  std::vector<double> kept_;        // by rank, [1 + all directions]
  std::vector<Map> maps_;
};

}  // namespace fathom::compress
