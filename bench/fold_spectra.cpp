// Where folding a trained model's maps could pay, by its weights alone: the rank that keeps 90, 95 and 99 % of a map's
// squares beside the break-even rank, and what the nearest sum of Kronecker products with as many numbers as the
// break-even rank keeps, and costs. Usage: fold_spectra BUNDLE. One line a map, means over the layers; then what one
// first factor for all layers keeps at equal bytes. What maps put out on data needs far lower ranks: fathom compress
// --fold says which.
#include <cstdio>
#include <string>
#include <vector>

#include "bundle/bundle.h"
#include "compress/factor.h"
#include "compress/fold.h"
#include "compress/kronecker.h"
#include "model/model.h"

namespace {

using namespace fathom;

std::size_t size(int value) { return static_cast<std::size_t>(value); }

std::size_t rank_for(const compress::Factoring& factoring, double energy) {
  std::size_t rank = 1;
  while (factoring.kept(rank) < energy) ++rank;
  return rank;
}

struct Line {
  double r90 = 0, r95 = 0, r99 = 0, svd = 0, kronecker = 0, one_term = 0;
};

void print_map(const Model& model, const LayerMap& map) {
  const std::size_t in = size(map.in), out = size(map.outputs()), even = size(compress::pays_below(map));
  const compress::KroneckerShape shape = compress::even_shape(out, in);
  const auto terms =
      static_cast<std::size_t>(static_cast<double>(even * (in + out)) / compress::kronecker_numbers(out, in, shape, 1));
  const double layers = model.spec().layers;
  Line mean;
  for (int layer = 0; layer < model.spec().layers; ++layer) {
    const std::vector<float> weights = compress::stacked_weights(model, layer, map);
    const compress::Factoring factoring({{weights, nullptr, 0}}, in, 1);
    mean.r90 += static_cast<double>(rank_for(factoring, 0.90)) / layers;
    mean.r95 += static_cast<double>(rank_for(factoring, 0.95)) / layers;
    mean.r99 += static_cast<double>(rank_for(factoring, 0.99)) / layers;
    mean.svd += factoring.kept(even) / layers;
    mean.kronecker += compress::nearest_kronecker(weights, out, in, shape, terms).kept / layers;
    mean.one_term += compress::nearest_kronecker(weights, out, in, shape, 1).kept / layers;
  }
  std::printf(
      "%-18s %5zu x %-5zu %8zu %8.0f %8.0f %8.0f %9.1f %% %9.1f %% %9.1f %% %10.0f x\n", map.name.c_str(), out, in,
      even, mean.r90, mean.r95, mean.r99, 100 * mean.svd, 100 * mean.kronecker, 100 * mean.one_term,
      compress::kronecker_macs(out, in, shape, terms) / (static_cast<double>(even) * static_cast<double>(in + out)));
}

void print_shared(const Model& model, const LayerMap& map) {
  const std::size_t in = size(map.in), out = size(map.outputs()), layers = size(model.spec().layers),
                    own = size(compress::pays_below(map)) / 2;
  const std::size_t shared = std::min(in, own * layers * (in + out) / (in + layers * out));
  std::vector<compress::MapToFold> maps;
  double kept_own = 0;
  for (int layer = 0; layer < model.spec().layers; ++layer) {
    maps.push_back({compress::stacked_weights(model, layer, map), nullptr, 0});
    kept_own += compress::Factoring({maps.back()}, in, 1).kept(own) / static_cast<double>(layers);
  }
  std::printf(
      "%-18s own factors of rank %zu keep %.1f %%, one of rank %zu for all layers keeps %.1f %% at as many bytes and "
      "%.2f times the multiply-adds\n",
      map.name.c_str(), own, 100 * kept_own, shared, 100 * compress::Factoring(maps, in, 1).kept(shared),
      static_cast<double>(shared) / static_cast<double>(own));
}

Status show(const char* folder) {
  FATHOM_TRY(const auto bundle, Bundle::open(folder));
  FATHOM_TRY(const auto model, Model::load(bundle));
  if (model->spec().ranks.any())
    return Error{Code::unsupported, std::string("'") + folder + "' is folded already",
                 "give the bundle it was made from"};
  std::printf("%-18s %13s %8s %8s %8s %8s %11s %11s %11s %12s\n", "map", "size", "pays <", "90 %", "95 %", "99 %",
              "low rank", "Kronecker", "one term", "its MACs");
  for (const LayerMap& map : layer_maps(model->spec())) print_map(*model, map);
  for (const LayerMap& map : layer_maps(model->spec())) print_shared(*model, map);
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: fold_spectra BUNDLE\n");
    return 2;
  }
  const Status done = show(argv[1]);
  if (!done) std::fprintf(stderr, "%s (%s)\n", done.error().message.c_str(), done.error().hint.c_str());
  return done ? 0 : 1;
}
