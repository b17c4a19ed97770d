// Maps of the layers folded into two factors of low rank (the paper's layer folding; ModelSpec::ranks): the same rank
// in every layer, so that layers go on costing alike. Which directions stay is chosen by what the maps put out on data
// (compress/factor.h), or by the weights alone; the biases take what the rest puts out on average. No gradients, no
// labels.
//   pays:   rank * (in + out) < in * out, q, k and v counted as one map of three times the outputs: else fewer
//   multiply-adds are one matrix. energy: the smallest rank (in steps of 16) that keeps this share of the outputs'
//   variance, averaged over the layers; only where it pays. shared: one first factor for all layers, so that a model of
//   any depth has it once ("parameter sharing under dynamic depth").
// What is copied and what is left out, determinism and errors: as in compress/prune.h. transformers cannot load such a
// bundle.
#pragma once

#include <array>
#include <filesystem>

#include "base/result.h"
#include "compress/rewrite.h"

namespace fathom::compress {

struct FoldChoice {
  double energy = 0;                            // for maps without a rank of their own; 0: they stay
  std::array<int, 4> ranks = {-1, -1, -1, -1};  // of qkv, o, f1, f2; -1: by energy; 0: one matrix
  bool shared = false;
  bool by_weights = false;  // inputs count for nothing
  bool any() const { return energy > 0 || ranks[0] > 0 || ranks[1] > 0 || ranks[2] > 0 || ranks[3] > 0; }
  WantedMaps maps() const;  // that could be folded
};

struct FoldReport {
  struct Map {
    const char* name = "";
    int in = 0, out = 0;  // out: of q, k and v together
    int pays_below = 0;   // rank
    int for_energy = 0;   // rank that the energy asks for; 0: not asked
    int rank = 0;         // taken; 0: one matrix
    double lost = 0;      // of the outputs' variance, mean over the layers
  };
  std::array<Map, 4> maps;
};

inline constexpr std::array<const char*, 4> kMapNames = {"qkv", "o", "f1", "f2"};  // of layer_maps()
int pays_below(const LayerMap& map);
std::vector<float> stacked_weights(const Model& model, int layer,
                                   const LayerMap& map);  // [outputs(), in]: its parts one below the other

// moments: of choice.maps(); not asked for where choice.by_weights.
Result<FoldReport> fold(const std::filesystem::path& bundle, const std::filesystem::path& out, const FoldChoice& choice,
                        const MomentsOf& moments);

}  // namespace fathom::compress
