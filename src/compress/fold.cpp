#include "compress/fold.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "compress/factor.h"
#include "compress/rewrite.h"
#include "model/model.h"

namespace fathom::compress {
namespace {

constexpr int kRankStep = 16;  // a kernel's panel of outputs

std::size_t size(int value) { return static_cast<std::size_t>(value); }

std::string layer_name(int layer) { return "encoder.layer." + std::to_string(layer) + "."; }

// The factorings of one kind of map: one a layer, or one of all layers.
struct Kind {
  std::vector<Factoring> of;
  double kept(int rank) const {
    double sum = 0;
    for (const Factoring& factoring : of) sum += factoring.kept(size(rank)) / static_cast<double>(of.size());
    return sum;
  }
};

int rank_for(const Kind& kind, double energy, int most) {
  for (int rank = kRankStep; rank < most; rank += kRankStep)
    if (kind.kept(rank) >= energy) return rank;
  return most;
}

class Folder {
 public:
  Folder(const Model& model, const FoldChoice& choice)
      : model_(model), choice_(choice), maps_(layer_maps(model.spec())), wanted_(choice.maps()) {}

  // Factors of every layer's maps, or what they are made of where layers share one.
  Status read(const MomentsOf& moments) {
    const int layers = model_.spec().layers;
    std::vector<InputMoments> kept;  // where layers share
    for (int layer = 0; layer < layers; ++layer) {
      InputMoments seen(model_.spec(), {});
      if (!choice_.by_weights) {
        FATHOM_TRY(seen, moments(layer));
      }
      if (choice_.shared)
        kept.push_back(std::move(seen));
      else
        factor({layer}, {&seen});
    }
    if (!choice_.shared) return {};
    std::vector<int> all;
    std::vector<const InputMoments*> of;
    for (int layer = 0; layer < layers; ++layer) {
      all.push_back(layer);
      of.push_back(&kept[size(layer)]);
    }
    factor(all, of);
    return {};
  }

  FoldReport choose() const {
    FoldReport report;
    for (std::size_t i = 0; i < maps_.size(); ++i) {
      FoldReport::Map& to = report.maps[i];
      to = {kMapNames[i], maps_[i].in, maps_[i].outputs(), pays_below(maps_[i]), 0, std::max(0, choice_.ranks[i]), 0};
      if (choice_.ranks[i] >= 0 || !wanted_[i]) continue;
      to.for_energy = rank_for(kinds_[i], choice_.energy, std::min(to.in, to.out));
      if (to.for_energy < to.pays_below) to.rank = to.for_energy;
    }
    return report;
  }

  void write(LayerTensors& tensors, const ModelSpec& after, FoldReport& report) const {
    for (std::size_t i = 0; i < maps_.size(); ++i) {
      if (report.maps[i].rank == 0) continue;
      for (std::size_t first = 0; first < kinds_[i].of.size(); ++first) {
        const Factors factors = kinds_[i].of[first].take(size(report.maps[i].rank));
        tensors.put(factor_name(after, static_cast<int>(first), maps_[i]), factors.right);
        for (std::size_t m = 0; m < factors.left.size(); ++m) {
          put_left(tensors, static_cast<int>(first + m), maps_[i], factors.left[m], report.maps[i].rank);
          report.maps[i].lost += factors.left[m].lost / model_.spec().layers;
        }
      }
    }
  }

 private:
  void factor(const std::vector<int>& layers, const std::vector<const InputMoments*>& moments) {
    for (std::size_t i = 0; i < maps_.size(); ++i) {
      if (!wanted_[i]) continue;
      std::vector<MapToFold> maps;
      for (std::size_t l = 0; l < layers.size(); ++l)
        maps.push_back({stacked_weights(model_, layers[l], maps_[i]), choice_.by_weights ? nullptr : &moments[l]->of[i],
                        moments[l]->rows});
      const int named = choice_.ranks[i], most = named > 0 ? named : pays_below(maps_[i]) - 1;
      kinds_[i].of.emplace_back(maps, size(maps_[i].in), size(std::max(1, most)));
    }
  }
  void put_left(LayerTensors& tensors, int layer, const LayerMap& map, const Factors::Left& left, int rank) const {
    for (std::size_t p = 0; p < map.parts.size(); ++p) {
      const std::string name = layer_name(layer) + map.parts[p];
      const auto at = [&](const std::vector<float>& values, std::size_t width) {
        const auto first = values.begin() + static_cast<std::ptrdiff_t>(p * size(map.out) * width);
        return std::vector<float>(first, first + static_cast<std::ptrdiff_t>(size(map.out) * width));
      };
      tensors.put(name + ".weight", at(left.weights, size(rank)));
      std::vector<float> bias = at(left.bias_change, 1);
      const float* before = model_.weight(name + ".bias");
      for (std::size_t n = 0; n < bias.size(); ++n) bias[n] += before[n];
      tensors.put(name + ".bias", bias);
    }
  }

  const Model& model_;
  const FoldChoice& choice_;
  std::array<LayerMap, 4> maps_;
  WantedMaps wanted_;
  std::array<Kind, 4> kinds_;
};

}  // namespace

std::vector<float> stacked_weights(const Model& model, int layer, const LayerMap& map) {
  std::vector<float> out;
  for (const std::string& part : map.parts) {
    const float* weights = model.weight(layer_name(layer) + part + ".weight");
    out.insert(out.end(), weights, weights + size(map.out) * size(map.in));
  }
  return out;
}

WantedMaps FoldChoice::maps() const {
  WantedMaps out{};
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = ranks[i] > 0 || (ranks[i] < 0 && energy > 0);
  return out;
}

int pays_below(const LayerMap& map) {
  const double in = map.in, out = map.outputs();
  return static_cast<int>(std::ceil(in * out / (in + out)));
}

Result<FoldReport> fold(const std::filesystem::path& folder, const std::filesystem::path& out, const FoldChoice& choice,
                        const MomentsOf& moments) {
  FATHOM_TRY(const Source source, open_source(folder, out));
  const ModelSpec& before = source.model->spec();
  if (before.ranks.any())
    return Error{Code::unsupported, "bundle '" + folder.string() + "' has folded maps already",
                 "fold the bundle it was made from"};
  if (!choice.any() || !(choice.energy >= 0 && choice.energy < 1))
    return Error{Code::usage, "nothing to fold", "give a share of the outputs' variance below 1, or a rank"};
  const std::array<LayerMap, 4> maps = layer_maps(before);
  for (std::size_t i = 0; i < maps.size(); ++i)
    if (const int most = std::min(maps[i].in, maps[i].outputs()); choice.ranks[i] > most)
      return Error{Code::usage,
                   "rank " + std::to_string(choice.ranks[i]) + " of " + kMapNames[i] + " is more than the map has, " +
                       std::to_string(most),
                   "it pays below " + std::to_string(pays_below(maps[i]))};
  Folder folder_of(*source.model, choice);
  FATHOM_TRY_VOID(folder_of.read(moments));
  FoldReport report = folder_of.choose();
  ModelSpec after = before;
  after.ranks = {report.maps[0].rank, report.maps[1].rank, report.maps[2].rank, report.maps[3].rank, choice.shared};
  if (!after.ranks.any()) {
    std::string needs;
    for (const FoldReport::Map& map : report.maps)
      if (map.for_energy > 0)
        needs += std::string(needs.empty() ? "" : ", ") + map.name + " rank " + std::to_string(map.for_energy) +
                 " (pays below " + std::to_string(map.pays_below) + ")";
    return Error{Code::usage, "folding would not pay: to keep that much, " + needs, "keep less, or give ranks"};
  }
  LayerTensors tensors(*source.model, after);
  folder_of.write(tensors, after, report);
  Json made = {{"energy", choice.energy},
               {"by", choice.by_weights ? "weights" : "outputs"},
               {"shared", choice.shared},
               {"ranks", Json::object()}};
  for (const FoldReport::Map& map : report.maps)
    if (map.rank > 0) made["ranks"][map.name] = map.rank;
  FATHOM_TRY_VOID(write_reshaped(source, out, after, tensors, "folded", made));
  return report;
}

}  // namespace fathom::compress
