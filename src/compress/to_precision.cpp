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

// The file's own names of what int8 takes by rows (the layers' maps, the word table and its projection) and of every
// matrix and table that the model reads.
struct Matrices {
  std::set<std::string> rows, all;
};

Matrices matrices_of(const Model& model) {
  Matrices out;
  for (const TensorSpec& tensor : backbone_tensors(model.spec())) {
    if (tensor.shape.size() < 2) continue;
    for (const TensorSource& source : sources_of(model.spec(), model.naming(), tensor)) {
      out.all.insert(source.name);
      if (tensor.name.starts_with("encoder.") || tensor.name.starts_with("embeddings.word_"))
        out.rows.insert(source.name);
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
  const std::size_t rows = static_cast<std::size_t>(view.shape[0]),
                    columns = static_cast<std::size_t>(view.elements()) / rows;
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

// One map's weights and biases as they are stored: in the file's own tensors, which may hold several maps.
struct StoredMap {
  const Stored* rounded;
  std::vector<std::byte>* biases;
  std::size_t first_weight, first_bias;
};

StoredMap stored_map(const Model& model, const std::string& name, const LayerMap& map,
                     std::map<std::string, Stored>& stored) {
  const auto source = [&](const char* part, std::vector<std::int64_t> shape) {
    return sources_of(model.spec(), model.naming(), {name + part, std::move(shape)}).at(0);
  };
  const TensorSource bias = source(".bias", {map.out}), weight = source(".weight", {map.out, map.reads()});
  return {&stored.at(weight.name), &stored.at(bias.name).bytes, static_cast<std::size_t>(weight.offset),
          static_cast<std::size_t>(bias.offset)};
}

void add_to_bias(const StoredMap& map, std::size_t n, double value) {
  const std::size_t at = map.first_bias + n;
  const float bias = static_cast<float>(static_cast<double>(number_at<float>(*map.biases, at)) + value);
  std::memcpy(map.biases->data() + at * sizeof bias, &bias, sizeof bias);
}

// Sums over rows of what a map reads, and of the same as its int8 rows hold it.
struct Read {
  std::vector<double> exact, rounded;
};

// W exact and W_int8 rounded of one row `n` of weights, which begins at element `first` of the stored tensor.
double exact_row(const float* weights, std::size_t n, const Read& read) {
  double sum = 0;
  for (std::size_t k = 0; k < read.exact.size(); ++k)
    sum += static_cast<double>(weights[n * read.exact.size() + k]) * read.exact[k];
  return sum;
}
double rounded_row(const Stored& stored, std::size_t first, const Read& read) {
  const std::size_t width = read.rounded.size();
  double sum = 0;
  for (std::size_t k = 0; k < width; ++k)
    sum += static_cast<double>(number_at<std::int8_t>(stored.bytes, first + k)) * read.rounded[k];
  return static_cast<double>(number_at<float>(stored.scales, first / width)) * sum;
}

// Behind a factor, what the map reads is the factor's sums. (That its outputs are rounded once more is not looked at:
// they centre on 0.)
Read behind_factor(const Model& model, const std::string& factor, const Read& read,
                   const std::map<std::string, Stored>& stored, std::size_t rank) {
  const auto shape =
      std::vector<std::int64_t>{static_cast<std::int64_t>(rank), static_cast<std::int64_t>(read.exact.size())};
  const Stored& rounded = stored.at(sources_of(model.spec(), model.naming(), {factor, shape}).at(0).name);
  Read out{std::vector<double>(rank), std::vector<double>(rank)};
  for (std::size_t n = 0; n < rank; ++n) {
    out.exact[n] = exact_row(model.weight(factor), n, read);
    out.rounded[n] = rounded_row(rounded, n * read.rounded.size(), read);
  }
  return out;
}

// Into the stored biases, with W_int8 as it is stored:
// - b + W mean(x) - W_int8 mean(x_int8) of every map that reads what its layer computes anyway;
// - what attention mixes is centred: v's biases lose the mean of the mixed rows, and o's gain W times it. The weights
// of a mixture, softmax's
//   and linear attention's alike, add up to 1, so nothing changes before rounding, but rows around 0 have shorter
//   ranges, and the levels lie closer together.
void correct_biases(const Model& model, const InputSums& sums, std::map<std::string, Stored>& stored) {
  constexpr std::size_t kO = 1;
  const std::size_t at[] = {0, sums.at_o(), sums.at_f1(), sums.at_f2()};
  const std::array<LayerMap, 4> maps = layer_maps(model.spec());
  const double rows = static_cast<double>(sums.rows);
  for (int layer = 0; layer < model.spec().layers; ++layer) {
    const std::string of_layer = "encoder.layer." + std::to_string(layer) + ".";
    const auto of = [&](const std::vector<double>& all, std::size_t map) {
      const auto first =
          all.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(layer) * sums.layer_width() + at[map]);
      return std::vector<double>(first, first + maps[map].in);
    };
    for (std::size_t m = 0; m < maps.size(); ++m) {
      Read read{of(sums.exact, m),
                m == kO ? std::vector<double>(static_cast<std::size_t>(maps[m].in)) : of(sums.rounded, m)};
      if (maps[m].rank > 0)
        read = behind_factor(model, factor_name(model.spec(), layer, maps[m]), read, stored,
                             static_cast<std::size_t>(maps[m].rank));
      for (const std::string& part : maps[m].parts) {
        const StoredMap to = stored_map(model, of_layer + part, maps[m], stored);
        const float* weights = model.weight(of_layer + part + ".weight");
        for (std::size_t n = 0; n < static_cast<std::size_t>(maps[m].out); ++n)
          add_to_bias(to, n,
                      (exact_row(weights, n, read) -
                       rounded_row(*to.rounded, to.first_weight + n * read.rounded.size(), read)) /
                          rows);
      }
    }
    const StoredMap values = stored_map(model, of_layer + maps[0].parts[2], maps[0], stored);
    const std::vector<double> mixed = of(sums.exact, kO);
    for (std::size_t n = 0; n < mixed.size(); ++n) add_to_bias(values, n, -mixed[n] / rows);
  }
}

std::string weights_bytes(const Model& model, const SafeTensors& weights, Precision precision, const InputSums* sums) {
  const Matrices matrices = matrices_of(model);
  std::map<std::string, Stored> stored;
  for (const auto& [name, unread] : weights.all()) {
    const TensorView& view = *weights.find(name);
    stored[name] = precision == Precision::int8 && matrices.rows.contains(name) ? in_int8(view)
                   : matrices.all.contains(name)                                ? in_bf16(view)
                                                                                : in_fp32(view);
  }
  if (precision == Precision::int8 && sums != nullptr && sums->rows > 0) correct_biases(model, *sums, stored);
  std::vector<StoredTensor> list;
  for (const auto& [name, tensor] : stored) {
    const auto& shape = weights.peek(name)->shape;
    if (!tensor.scales.empty()) list.push_back({name + ".scale", "F32", {shape[0]}, tensor.scales});
    list.push_back({name, tensor.dtype, shape, tensor.bytes});
  }
  const auto width = [](const StoredTensor& tensor) {
    return tensor.dtype == "F32" ? 4 : tensor.dtype == "BF16" ? 2 : 1;
  };
  std::stable_sort(list.begin(), list.end(), [&](const StoredTensor& a, const StoredTensor& b) {
    return width(a) > width(b);
  });  // none lies unaligned
  return safetensors_bytes(list);
}

}  // namespace

Status to_precision(const std::filesystem::path& folder, const std::filesystem::path& out, Precision precision,
                    const InputSums* sums) {
  if (precision == Precision::fp32)
    return Error{Code::unsupported, "fp32 is what a bundle begins with", "give --precision bf16 or int8"};
  FATHOM_TRY(const Source source, open_source(folder, out));
  const std::string bytes = weights_bytes(*source.model, *source.bundle->weights(), precision, sums);
  const std::string file = precision == Precision::int8 ? "weights.int8.safetensors" : "model.safetensors";
  Json fathom = source.bundle->fathom();
  fathom["precision"] = precision_name(precision);
  if (precision == Precision::int8 && sums != nullptr)
    fathom["provenance"]["compressed"]["biases_corrected_on_tokens"] = sums->rows;
  return write_made(source, out, {{file, bytes}}, fathom, "precision", precision_name(precision));
}

}  // namespace fathom::compress
