#include "compress/zero_weights.h"

#include <algorithm>

#include "compress/zero_map.h"
#include "model/model.h"

namespace fathom::compress {

Result<ZeroReport> zero_weights(const std::filesystem::path& folder, const std::filesystem::path& out,
                                const ZeroChoice& choice, const MomentsOf& moments) {
  FATHOM_TRY(const Source source, open_source(folder, out));
  const Model& model = *source.model;
  const ModelSpec& spec = model.spec();
  if (!choice.any() || !(choice.share >= 0 && choice.share < 1))
    return Error{Code::usage, "no share of weights to set to zero", "give a share below 1, or 2:4"};
  if (spec.ranks.any())
    return Error{Code::unsupported,
                 "bundle '" + folder.string() + "' has folded maps: zeros in their factors are not looked for",
                 "use --prune weights on the bundle it was made from"};
  LayerTensors tensors(model, spec);
  const auto maps = layer_maps(spec);
  ZeroReport report;
  double zeros = 0, all = 0;
  for (int layer = 0; layer < spec.layers; ++layer) {
    FATHOM_TRY(const InputMoments seen, moments(layer));
    for (std::size_t i = 0; i < maps.size(); ++i) {
      double lost = 0, variance = 0;
      const MapZeroes of_map(seen.of[i], seen.rows);
      for (const std::string& part : maps[i].parts) {
        const std::string name = "encoder.layer." + std::to_string(layer) + "." + part;
        Zeroed made = of_map.of(model.weight(name + ".weight"), static_cast<std::size_t>(maps[i].out), choice);
        const float* bias = model.weight(name + ".bias");
        for (std::size_t n = 0; n < made.bias_change.size(); ++n) made.bias_change[n] += bias[n];
        tensors.put(name + ".weight", made.weights);
        tensors.put(name + ".bias", made.bias_change);
        lost += made.lost;
        variance += made.variance;
        zeros += static_cast<double>(std::count(made.weights.begin(), made.weights.end(), 0.0f));
        all += static_cast<double>(made.weights.size());
      }
      report.lost[i] += (variance > 0 ? lost / variance : 0.0) / spec.layers;
    }
  }
  report.zeros = zeros / all;
  const Json made = {{"share", choice.two_of_four ? Json("2:4") : Json(choice.share)}, {"zeros", report.zeros}};
  FATHOM_TRY_VOID(write_reshaped(source, out, spec, tensors, "zeroed", made));
  return report;
}

}  // namespace fathom::compress
