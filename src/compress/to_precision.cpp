#include "compress/to_precision.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include "compress/rewrite.h"
#include "kernels/bf16.h"
#include "kernels/packing.h"

namespace fathom::compress {
namespace {

// The file's own names of what int8 takes by rows (the layers' maps, the word table) and of every matrix and table that the model reads.
struct Matrices {
  std::set<std::string> rows, all;
};

Matrices matrices_of(const Model& model) {
  Matrices out;
  for (const TensorSpec& tensor : backbone_tensors(model.spec())) {
    if (tensor.shape.size() < 2) continue;
    for (const TensorSource& source : sources_of(model.spec(), model.naming(), tensor)) {
      out.all.insert(source.name);
      if (tensor.name.starts_with("encoder.layer.") || tensor.name == "embeddings.word_embeddings.weight") out.rows.insert(source.name);
    }
  }
  return out;
}

struct Stored {
  std::string dtype;
  std::vector<std::byte> bytes, scales;
};

template <class T>
void append(std::vector<std::byte>& bytes, T value) {
  const std::size_t at = bytes.size();
  bytes.resize(at + sizeof value);
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

Stored in_int8(const TensorView& view) {
  Stored out{"I8", {}, {}};
  const std::size_t rows = static_cast<std::size_t>(view.shape[0]), columns = static_cast<std::size_t>(view.elements()) / rows;
  out.bytes.reserve(rows * columns);
  for (std::size_t r = 0; r < rows; ++r) {
    const float* row = view.data + r * columns;
    const float scale = kernels::column_scale(row, columns), inverse = scale > 0.0f ? 1.0f / scale : 0.0f;
    append(out.scales, scale);
    for (std::size_t i = 0; i < columns; ++i) append(out.bytes, kernels::int8_weight(row[i], inverse));
  }
  return out;
}

Stored in_bf16(const TensorView& view) {
  Stored out{"BF16", {}, {}};
  out.bytes.reserve(2 * static_cast<std::size_t>(view.elements()));
  for (std::int64_t i = 0; i < view.elements(); ++i) append(out.bytes, kernels::to_bf16(view.data[i]));
  return out;
}

Stored in_fp32(const TensorView& view) {
  const auto bytes = std::as_bytes(std::span(view.data, static_cast<std::size_t>(view.elements())));
  return {"F32", {bytes.begin(), bytes.end()}, {}};
}

template <class T>
T number_at(const std::vector<std::byte>& bytes, std::size_t index) {
  T value;
  std::memcpy(&value, bytes.data() + index * sizeof value, sizeof value);
  return value;
}

// Where the layers' maps read in a layer's sums, in the order of their run (model/input_sums.h).
struct MapInputs {
  const char* name;
  std::size_t reads, width, outputs;
};

// One map's weights and biases as they are stored: in the file's own tensors, which may hold several maps.
struct StoredMap {
  const Stored* rounded;
  std::vector<std::byte>* biases;
  std::size_t first_weight, first_bias;
};

StoredMap stored_map(const Model& model, const std::string& name, const MapInputs& map, std::map<std::string, Stored>& stored) {
  const auto source = [&](const char* part, std::vector<std::int64_t> shape) { return sources_of(model.spec(), model.naming(), {name + part, std::move(shape)}).at(0); };
  const auto height = static_cast<std::int64_t>(map.outputs);
  const TensorSource bias = source(".bias", {height}), weight = source(".weight", {height, static_cast<std::int64_t>(map.width)});
  return {&stored.at(weight.name), &stored.at(bias.name).bytes, static_cast<std::size_t>(weight.offset), static_cast<std::size_t>(bias.offset)};
}

void add_to_bias(const StoredMap& map, std::size_t n, double value) {
  const std::size_t at = map.first_bias + n;
  const float bias = static_cast<float>(static_cast<double>(number_at<float>(*map.biases, at)) + value);
  std::memcpy(map.biases->data() + at * sizeof bias, &bias, sizeof bias);
}

// Into the stored biases, with W_int8 as it is stored:
// - b + W mean(x) - W_int8 mean(x_int8) of every map that reads what its layer computes anyway;
// - what attention mixes is centred: v's biases lose the mean of the mixed rows, and o's gain W times it. The weights of a mixture, softmax's
//   and linear attention's alike, add up to 1, so nothing changes before rounding, but rows around 0 have shorter ranges, and the levels lie closer together.
void correct_biases(const Model& model, const InputSums& sums, std::map<std::string, Stored>& stored) {
  const std::size_t hidden = sums.hidden, width = sums.mixed, ffn = sums.ffn;
  const MapInputs maps[] = {{"attention.self.query", 0, hidden, width}, {"attention.self.key", 0, hidden, width}, {"attention.self.value", 0, hidden, width},
                            {"attention.output.dense", sums.at_o(), width, hidden}, {"intermediate.dense", sums.at_f1(), hidden, ffn}, {"output.dense", sums.at_f2(), ffn, hidden}};
  const MapInputs &value = maps[2], &mixed = maps[3];
  const double rows = static_cast<double>(sums.rows);
  for (int layer = 0; layer < model.spec().layers; ++layer) {
    const std::string of_layer = "encoder.layer." + std::to_string(layer) + ".";
    const double* const exact = sums.exact.data() + static_cast<std::size_t>(layer) * sums.layer_width();
    const double* const rounded = sums.rounded.data() + static_cast<std::size_t>(layer) * sums.layer_width();
    for (const MapInputs& map : maps) {
      const std::string name = of_layer + map.name;
      const StoredMap to = stored_map(model, name, map, stored);
      const float* weights = model.weight(name + ".weight");
      for (std::size_t n = 0; n < map.outputs; ++n) {
        const std::size_t first = to.first_weight + n * map.width;
        const double scale = static_cast<double>(number_at<float>(to.rounded->scales, first / map.width));
        double lost = 0;
        for (std::size_t k = 0; k < map.width; ++k) {
          lost += static_cast<double>(weights[n * map.width + k]) * exact[map.reads + k];
          if (&map != &mixed) lost -= scale * static_cast<double>(number_at<std::int8_t>(to.rounded->bytes, first + k)) * rounded[map.reads + k];
        }
        add_to_bias(to, n, lost / rows);
      }
    }
    const StoredMap values = stored_map(model, of_layer + value.name, value, stored);
    for (std::size_t n = 0; n < width; ++n) add_to_bias(values, n, -exact[mixed.reads + n] / rows);
  }
}

Result<std::string> weights_bytes(const Model& model, const SafeTensors& weights, Precision precision, const InputSums* sums) {
  const Matrices matrices = matrices_of(model);
  std::map<std::string, Stored> stored;
  for (const auto& [name, unread] : weights.all()) {
    FATHOM_TRY_VOID(all_finite(weights, name));
    const TensorView& view = *weights.find(name);
    stored[name] = precision == Precision::int8 && matrices.rows.contains(name) ? in_int8(view) : matrices.all.contains(name) ? in_bf16(view) : in_fp32(view);
  }
  if (precision == Precision::int8 && sums != nullptr && sums->rows > 0) correct_biases(model, *sums, stored);
  std::vector<StoredTensor> list;
  for (const auto& [name, tensor] : stored) {
    const auto& shape = weights.peek(name)->shape;
    if (!tensor.scales.empty()) list.push_back({name + ".scale", "F32", {shape[0]}, tensor.scales});
    list.push_back({name, tensor.dtype, shape, tensor.bytes});
  }
  const auto width = [](const StoredTensor& tensor) { return tensor.dtype == "F32" ? 4 : tensor.dtype == "BF16" ? 2 : 1; };
  std::stable_sort(list.begin(), list.end(), [&](const StoredTensor& a, const StoredTensor& b) { return width(a) > width(b); });  // none lies unaligned
  return safetensors_bytes(list);
}

}  // namespace

Status to_precision(const std::filesystem::path& folder, const std::filesystem::path& out, Precision precision, const InputSums* sums) {
  if (precision == Precision::fp32) return Error{Code::unsupported, "fp32 is what a bundle begins with", "give --precision bf16 or int8"};
  FATHOM_TRY(const Source source, open_source(folder, out));
  FATHOM_TRY(const std::string bytes, weights_bytes(*source.model, *source.bundle->weights(), precision, sums));
  const std::string file = precision == Precision::int8 ? "weights.int8.safetensors" : "model.safetensors";
  Json fathom = source.bundle->fathom();
  fathom["precision"] = precision_name(precision);
  if (precision == Precision::int8 && sums != nullptr) fathom["provenance"]["compressed"]["biases_corrected_on_tokens"] = sums->rows;
  return write_made(source, out, {{file, bytes}}, fathom, "precision", precision_name(precision));
}

}  // namespace fathom::compress
