#include "compress/prune.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "compress/remove_inputs.h"
#include "compress/rewrite.h"
#include "model/model.h"

namespace fathom::compress {
namespace {

std::size_t size(int value) { return static_cast<std::size_t>(value); }

// Rows of [n, width] that belong to the kept groups.
std::vector<float> kept_rows(const float* from, std::size_t width, std::size_t group,
                             const std::vector<std::size_t>& kept) {
  std::vector<float> out(kept.size() * group * width);
  for (std::size_t i = 0; i < kept.size(); ++i)
    std::memcpy(out.data() + i * group * width, from + kept[i] * group * width, group * width * sizeof(float));
  return out;
}

std::vector<float> sum(const float* a, const std::vector<float>& b) {
  std::vector<float> out(b.size());
  for (std::size_t i = 0; i < b.size(); ++i) out[i] = a[i] + b[i];
  return out;
}

class Pruner {
 public:
  Pruner(const Model& model, const ModelSpec& after, LayerTensors& tensors)
      : model_(model), after_(after), tensors_(tensors) {}

  PruneReport::Layer layer(int index, const InputMoments& moments) {
    name_ = "encoder.layer." + std::to_string(index) + ".";
    const ModelSpec& before = model_.spec();
    PruneReport::Layer report;
    if (after_.heads < before.heads)
      report.heads_lost =
          shrink("attention.output.dense", {"attention.self.query", "attention.self.key", "attention.self.value"},
                 size(before.head_dim()), size(after_.heads), moments.of[1], moments.rows);
    if (after_.ffn < before.ffn)
      report.ffn_lost =
          shrink("output.dense", {"intermediate.dense"}, 1, size(after_.ffn), moments.of[3], moments.rows);
    return report;
  }

 private:
  // `reader` loses inputs, in groups; `writers` made them, one row each.
  double shrink(const char* reader, std::initializer_list<const char*> writers, std::size_t group, std::size_t keep,
                const Moments& moments, std::size_t rows) {
    const std::size_t hidden = size(after_.hidden);
    const Reduced reduced = remove_inputs(weight(reader, ".weight"), hidden, group, keep, moments, rows);
    put(reader, ".weight", reduced.weights);
    put(reader, ".bias", sum(weight(reader, ".bias"), reduced.bias_change));
    for (const char* writer : writers) {
      put(writer, ".weight", kept_rows(weight(writer, ".weight"), hidden, group, reduced.kept));
      put(writer, ".bias", kept_rows(weight(writer, ".bias"), 1, group, reduced.kept));
    }
    return reduced.lost;
  }
  const float* weight(const char* map, const char* part) const { return model_.weight(name_ + map + part); }
  void put(const char* map, const char* part, const std::vector<float>& values) {
    tensors_.put(name_ + map + part, values);
  }

  const Model& model_;
  const ModelSpec& after_;
  LayerTensors& tensors_;
  std::string name_;
};

}  // namespace

int left_of(int count, double share) {
  const double left = count * (1.0 - share);
  if (count < 64) return std::max(1, static_cast<int>(std::lround(left)));
  return std::min(count, 32 * std::max(1, static_cast<int>(std::lround(left / 32))));
}

Result<PruneReport> prune(const std::filesystem::path& folder, const std::filesystem::path& out,
                          const PruneShares& shares, const MomentsOf& moments) {
  FATHOM_TRY(const Source source, open_source(folder, out));
  const ModelSpec& before = source.model->spec();
  for (const double share : {shares.heads, shares.ffn})
    if (!(share >= 0 && share < 1))
      return Error{Code::usage, "a share of " + std::to_string(share) + " cannot be pruned", "give 0 to below 1"};
  if (before.ranks.any())
    return Error{Code::unsupported,
                 "bundle '" + folder.string() + "' has folded maps: their inputs are not single heads and neurons",
                 "prune first, then fold"};
  ModelSpec after = before;
  if (shares.ffn > 0) after.ffn = left_of(before.ffn, shares.ffn);
  if (shares.heads > 0) after.heads = left_of(before.heads, shares.heads);
  if (after.heads < before.heads) after.head_size = before.head_dim();
  if (after == before)
    return Error{Code::usage,
                 "nothing would go: of " + std::to_string(before.heads) + " heads and " + std::to_string(before.ffn) +
                     " neurons a layer that is less than one part (neurons go in steps of 32)",
                 "prune a larger share"};
  LayerTensors tensors(*source.model, after);
  Pruner pruner(*source.model, after, tensors);
  PruneReport report{after.heads, after.ffn, {}};
  for (int layer = 0; layer < before.layers; ++layer) {
    FATHOM_TRY(const InputMoments seen, moments(layer));
    report.layers.push_back(pruner.layer(layer, seen));
  }
  const Json made = {{"heads", {before.heads, after.heads}}, {"ffn", {before.ffn, after.ffn}}};
  FATHOM_TRY_VOID(write_reshaped(source, out, after, tensors, "pruned", made));
  return report;
}

}  // namespace fathom::compress
