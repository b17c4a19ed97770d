#include "compress/rewrite.h"

#include <cmath>
#include <cstring>

#include "base/check.h"
#include "base/file.h"
#include "bundle/safetensors.h"

namespace fathom::compress {
namespace {

// Named where it is not: a value of it would spread through all that is chosen by it.
Status all_finite(const SafeTensors& weights, const std::string& name) {
  const TensorView& view = *weights.find(name);
  for (std::int64_t i = 0; i < view.elements(); ++i)
    if (!std::isfinite(view.data[i]))
      return Error{
          Code::corrupt_bundle,
          "'" + weights.path().string() + "': tensor '" + name + "': value " + std::to_string(i) + " is not finite",
          "copy or make the bundle again"};
  return {};
}

}  // namespace

Status check_target(const std::filesystem::path& folder, const std::filesystem::path& out) {
  std::error_code ignored;
  if (fs::equivalent(folder, out, ignored))
    return Error{Code::usage, "bundle '" + folder.string() + "' cannot be compressed into itself", "choose another -o"};
  if (const auto there = Bundle::open(out);
      there && !(*there)->fathom().value("provenance", Json::object()).contains("compressed"))
    return Error{Code::usage, "'" + out.string() + "' holds a bundle that was not made by compressing",
                 "choose another -o, or delete it"};
  return {};
}

Result<Source> open_source(const std::filesystem::path& folder, const std::filesystem::path& out) {
  Source source;
  FATHOM_TRY(source.bundle, Bundle::open(folder));
  FATHOM_TRY(source.model, Model::load(source.bundle));
  const std::string where = "bundle '" + folder.string() + "'";
  if (source.model->precision() != Precision::fp32)
    return Error{Code::unsupported,
                 where + " is compressed already: its layers are in " + precision_name(source.model->precision()),
                 "compress the bundle it was made from"};
  FATHOM_TRY_VOID(check_target(folder, out));
  for (const auto& [name, unread] : source.bundle->weights()->all())
    FATHOM_TRY_VOID(all_finite(*source.bundle->weights(), name));
  return source;
}

LayerTensors::LayerTensors(const Model& model, ModelSpec after) : after_(std::move(after)), naming_(model.naming()) {
  for (const TensorSpec& tensor : backbone_tensors(after_)) wanted_[tensor.name] = tensor.shape;
  const SafeTensors& weights = *model.bundle()->weights();
  for (const auto& [name, unread] : weights.all()) {
    const TensorView& view = *weights.find(name);
    tensors_[name] = {view.shape, {view.data, view.data + view.elements()}};
  }
}

void LayerTensors::put(const std::string& name, const std::vector<float>& values) {
  const TensorSource place = sources_of(after_, naming_, {name, wanted_.at(name)}).at(0);
  Tensor& tensor = tensors_[place.name];
  if (tensor.shape != place.shape)
    tensor = {place.shape, std::vector<float>(static_cast<std::size_t>(elements_of(place.shape)))};
  FATHOM_CHECK(values.size() == static_cast<std::size_t>(elements_of(wanted_.at(name))), "values of the new shape");
  std::memcpy(tensor.values.data() + place.offset, values.data(), values.size() * sizeof(float));
}

std::string LayerTensors::bytes() const {
  std::vector<NamedTensor> list;
  for (const auto& [name, tensor] : tensors_) list.push_back({name, {tensor.values.data(), tensor.shape}});
  return safetensors_bytes(list);
}

Status write_made(const Source& source, const std::filesystem::path& out, std::map<std::string, std::string> files,
                  Json fathom, const std::string& step, const Json& made) {
  std::map<std::string, std::filesystem::path> copies;
  for (const auto& [name, entry] : source.bundle->fathom()["files"].items()) {
    const bool weights = name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json");
    if ((!weights || name == "fathom.safetensors") && !files.contains(name))
      copies[name] = source.bundle->folder() / name;
  }
  for (const char* old : {"operating_points", "budget_table", "certificate"}) fathom.erase(old);
  Json& history = fathom["provenance"]["compressed"];
  if (!history.contains("from"))
    history["from"] = source.bundle->checksum();  // else a transform's own output, which says so already
  history[step] = made;
  return write_bundle(out, files, fathom, copies);
}

Status write_reshaped(const Source& source, const std::filesystem::path& out, const ModelSpec& after,
                      const LayerTensors& tensors, const std::string& step, const Json& made) {
  Json fathom = source.bundle->fathom(), config = spec_to_json(after);
  if (fathom.contains("model")) {  // an imported checkpoint: config.json is its library's
    fathom["model"]["spec"] = config;
    config = source.bundle->config();
    for (const char* key : {"intermediate_size", "hidden_dim"})  // BERT, RoBERTa, ViT; DistilBERT
      if (config.contains(key)) config[key] = after.ffn;
  }
  return write_made(source, out, {{"model.safetensors", tensors.bytes()}, {"config.json", config.dump(2) + "\n"}},
                    fathom, step, made);
}

}  // namespace fathom::compress
