#include "compress/to_precision.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <set>

#include "base/file.h"
#include "bundle/bundle.h"
#include "kernels/bf16.h"
#include "kernels/packing.h"
#include "model/model.h"

namespace fathom::compress {
namespace {

// The file's own names of the layers' maps and of every matrix and table that the model reads.
struct Matrices {
  std::set<std::string> maps, all;
};

Matrices matrices_of(const Model& model) {
  Matrices out;
  for (const TensorSpec& tensor : backbone_tensors(model.spec())) {
    if (tensor.shape.size() < 2) continue;
    for (const TensorSource& source : sources_of(model.spec(), model.naming(), tensor)) {
      out.all.insert(source.name);
      if (tensor.name.starts_with("encoder.layer.")) out.maps.insert(source.name);
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

// b + W mean(x) - W_int8 mean(x_int8) of every map, into the stored biases; W_int8 as it is stored.
void correct_biases(const Model& model, const InputSums& sums, std::map<std::string, Stored>& stored) {
  struct Map {
    const char* name;
    std::size_t reads, width;  // where its inputs begin in a layer's sums, and how many they are
  };
  const std::size_t hidden = sums.hidden, ffn = sums.ffn;
  const Map maps[] = {{"attention.self.query", 0, hidden}, {"attention.self.key", 0, hidden}, {"attention.self.value", 0, hidden},
                      {"attention.output.dense", hidden, hidden}, {"intermediate.dense", 2 * hidden, hidden}, {"output.dense", 3 * hidden, ffn}};
  const double rows = static_cast<double>(sums.rows);
  for (int layer = 0; layer < model.spec().layers; ++layer)
    for (const Map& map : maps) {
      const std::string name = "encoder.layer." + std::to_string(layer) + "." + map.name;
      const std::size_t outputs = std::string_view(map.name) == "intermediate.dense" ? ffn : hidden, at = static_cast<std::size_t>(layer) * sums.layer_width() + map.reads;
      const auto source = [&](const char* part, std::vector<std::int64_t> shape) { return sources_of(model.spec(), model.naming(), {name + part, std::move(shape)}).at(0); };
      const auto height = static_cast<std::int64_t>(outputs);
      const TensorSource bias_place = source(".bias", {height}), weight_place = source(".weight", {height, static_cast<std::int64_t>(map.width)});
      const Stored& rounded = stored.at(weight_place.name);
      std::vector<std::byte>& biases = stored.at(bias_place.name).bytes;
      const float* weights = model.weight(name + ".weight");
      for (std::size_t n = 0; n < outputs; ++n) {
        const std::size_t first = static_cast<std::size_t>(weight_place.offset) + n * map.width;  // of a file's tensor that may hold several maps
        const double scale = static_cast<double>(number_at<float>(rounded.scales, first / map.width));
        double lost = 0;
        for (std::size_t k = 0; k < map.width; ++k)
          lost += static_cast<double>(weights[n * map.width + k]) * sums.exact[at + k] -
                  scale * static_cast<double>(number_at<std::int8_t>(rounded.bytes, first + k)) * sums.rounded[at + k];
        const std::size_t bias_at = static_cast<std::size_t>(bias_place.offset) + n;
        const float bias = static_cast<float>(static_cast<double>(number_at<float>(biases, bias_at)) + lost / rows);
        std::memcpy(biases.data() + bias_at * sizeof bias, &bias, sizeof bias);
      }
    }
}

Result<std::string> weights_bytes(const Model& model, const SafeTensors& weights, Precision precision, const InputSums* sums) {
  const Matrices matrices = matrices_of(model);
  std::map<std::string, Stored> stored;
  for (const auto& [name, unread] : weights.all()) {
    const TensorView& view = *weights.find(name);
    for (std::int64_t i = 0; i < view.elements(); ++i)
      if (!std::isfinite(view.data[i]))
        return Error{Code::corrupt_bundle, "'" + weights.path().string() + "': tensor '" + name + "': value " + std::to_string(i) + " is not finite",
                     "copy or make the bundle again"};
    stored[name] = precision == Precision::int8 && matrices.maps.contains(name) ? in_int8(view) : matrices.all.contains(name) ? in_bf16(view) : in_fp32(view);
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
  FATHOM_TRY(const auto bundle, Bundle::open(folder));
  FATHOM_TRY(const auto model, Model::load(bundle));
  const std::string where = "bundle '" + folder.string() + "'";
  if (precision == Precision::fp32) return Error{Code::unsupported, "fp32 is what a bundle begins with", "give --precision bf16 or int8"};
  if (model->precision() != Precision::fp32)
    return Error{Code::unsupported, where + " is compressed already: its layers are in " + precision_name(model->precision()), "compress the bundle it was made from"};
  std::error_code ignored;
  if (fs::equivalent(folder, out, ignored)) return Error{Code::usage, where + " cannot be compressed into itself", "choose another -o"};
  if (const auto there = Bundle::open(out); there && !(*there)->fathom().value("provenance", Json::object()).contains("compressed"))
    return Error{Code::usage, "'" + out.string() + "' holds a bundle that was not made by compressing", "choose another -o, or delete it"};
  FATHOM_TRY(const std::string bytes, weights_bytes(*model, *bundle->weights(), precision, sums));
  const std::string file = precision == Precision::int8 ? "weights.int8.safetensors" : "model.safetensors";
  std::map<std::string, std::filesystem::path> copies;
  for (const auto& [name, entry] : bundle->fathom()["files"].items()) {
    const bool weights = name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json");
    if (!weights || name == "fathom.safetensors") copies[name] = folder / name;
  }
  Json fathom = bundle->fathom();
  for (const char* old : {"operating_points", "budget_table", "certificate"}) fathom.erase(old);
  fathom["precision"] = precision_name(precision);
  fathom["provenance"]["compressed"] = {{"from", bundle->checksum()}, {"precision", precision_name(precision)}};
  if (precision == Precision::int8 && sums != nullptr) fathom["provenance"]["compressed"]["biases_corrected_on_tokens"] = sums->rows;
  return write_bundle(out, {{file, bytes}}, fathom, copies);
}

}  // namespace fathom::compress
