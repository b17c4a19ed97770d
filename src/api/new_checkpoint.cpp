#include "api/new_checkpoint.h"

#include "api/checkpoint.h"
#include "base/file.h"
#include "base/random.h"
#include "model/checkpoint_file.h"
#include "model/model.h"

namespace fathom::api {
namespace {

struct Encoder {
  Json config;
  std::shared_ptr<const SafeTensors> weights;
  std::vector<std::string> files;
  Checkpoint checkpoint;
};

Result<Encoder> read_encoder(const fs::path& folder, const std::vector<std::string>& classes) {
  Encoder out;
  FATHOM_TRY(CheckpointFiles read, open_checkpoint(folder));
  out.config = std::move(read.config);
  out.weights = std::move(read.weights);
  out.files = std::move(read.beside);
  FATHOM_TRY(out.checkpoint,
             read_checkpoint(out.config, *out.weights, "'" + (folder / "config.json").string() + "'", classes));
  return out;
}

// What the family's classifier puts before the encoder's names.
std::string prefix_of(const Encoder& encoder) {
  const Family family = encoder.checkpoint.naming.family;
  if (family == Family::timm) return "";
  return encoder.config["model_type"].get<std::string>() + ".";
}

std::string architecture_of(const Json& config) {
  const std::string type = config["model_type"].get<std::string>();
  if (type == "bert") return "BertForSequenceClassification";
  if (type == "roberta") return "RobertaForSequenceClassification";
  if (type == "distilbert") return "DistilBertForSequenceClassification";
  return type == "deit" ? "DeiTForImageClassification" : "ViTForImageClassification";
}

Json config_with(const Encoder& encoder, const std::vector<std::string>& classes) {
  Json config = encoder.config;
  if (encoder.checkpoint.naming.family == Family::timm) {
    config["num_classes"] = classes.size();
    config["label_names"] = classes;
    return config;
  }
  config["architectures"] = Json::array({architecture_of(config)});
  config["id2label"] = Json::object();
  config["label2id"] = Json::object();
  for (std::size_t i = 0; i < classes.size(); ++i) {
    config["id2label"][std::to_string(i)] = classes[i];
    config["label2id"][classes[i]] = i;
  }
  return config;
}

Status write_checkpoint(const fs::path& from, const std::vector<std::string>& files, const std::string& weights,
                        const Json& config, const fs::path& to) {
  std::error_code failed;
  fs::create_directories(to, failed);
  if (failed)
    return Error{Code::io, "cannot make '" + to.string() + "': " + failed.message(), "choose another output folder"};
  for (const std::string& name : files) {
    fs::copy_file(from / name, to / name, fs::copy_options::overwrite_existing, failed);
    if (failed)
      return Error{Code::io, "cannot copy '" + (from / name).string() + "': " + failed.message(),
                   "free space, or choose another output folder"};
  }
  FATHOM_TRY_VOID(write_file_atomic(to / "model.safetensors", weights));
  return write_file_atomic(to / "config.json", config.dump(2) + "\n");
}

// A student's tensor as its teacher calls it.
std::string name_in_whole(const std::string& name, const ModelSpec& student, const ModelSpec& whole,
                          const std::vector<int>& kept) {
  for (std::size_t i = 0; i < kept.size(); ++i) {
    const std::string start = "encoder.layer." + std::to_string(i) + ".";
    if (name.starts_with(start)) return "encoder.layer." + std::to_string(kept[i]) + "." + name.substr(start.size());
  }
  const std::string head = "exits." + std::to_string(student.layers) + ".";
  return name.starts_with(head) ? "exits." + std::to_string(whole.layers) + "." + name.substr(head.size()) : name;
}

}  // namespace

Result<Checkpoint> look_at(const std::filesystem::path& folder) {
  FATHOM_TRY(Encoder encoder, read_encoder(folder, {"0", "1"}));
  return std::move(encoder.checkpoint);
}

Status add_classifier(const std::filesystem::path& folder, const std::vector<std::string>& classes, std::uint64_t seed,
                      const std::filesystem::path& to) {
  FATHOM_TRY(const Encoder encoder, read_encoder(folder, classes));
  const Checkpoint& checkpoint = encoder.checkpoint;
  FATHOM_CHECK(!checkpoint.has_classifier, "a classifier that is there is kept");
  Naming naming = checkpoint.naming;
  naming.prefix = prefix_of(encoder);
  std::vector<std::vector<float>> drawn;
  std::map<std::string, TensorView> values;
  for (const TensorSpec& tensor : task_head_tensors(checkpoint.spec)) {
    std::string name = sources_of(checkpoint.spec, checkpoint.naming, tensor)[0].name;
    if (find_named(*encoder.weights, name) != nullptr) continue;
    const auto count = static_cast<std::size_t>(elements_of(tensor.shape));
    auto& numbers = drawn.emplace_back(count, 0.0f);
    const bool norm = tensor.name.ends_with("norm.weight");
    Random random(seed, "classifier " + tensor.name);
    if (tensor.shape.size() == 2)
      for (float& x : numbers) x = static_cast<float>(0.02 * random.normal());
    else if (norm)
      numbers.assign(count, 1.0f);
    values[tensor.name] = {numbers.data(), tensor.shape};
  }
  FATHOM_TRY(const std::string bytes,
             checkpoint_bytes(checkpoint.spec, *encoder.weights, checkpoint.naming, naming, values));
  return write_checkpoint(folder, encoder.files, bytes, config_with(encoder, classes), to);
}

Status keep_layers(const std::filesystem::path& folder, const std::vector<int>& kept, const std::filesystem::path& to) {
  FATHOM_TRY(const Encoder encoder, read_encoder(folder, {}));
  const Checkpoint& whole = encoder.checkpoint;
  if (whole.naming.family == Family::timm)
    return Error{Code::unsupported, "'" + folder.string() + "': timm's names fix the number of layers",
                 "save it as a Hugging Face ViT first"};
  for (std::size_t i = 0; i < kept.size(); ++i)
    if (kept[i] < 0 || kept[i] >= whole.spec.layers || (i > 0 && kept[i] <= kept[i - 1]))
      return Error{Code::usage, "--keep-layers: layer " + std::to_string(kept[i]) + " is not there or not in order",
                   "give numbers from 0 to " + std::to_string(whole.spec.layers - 1) + ", rising, as 0,2,4"};
  FATHOM_TRY(const auto model, Model::of_checkpoint(whole.spec, whole.naming, encoder.weights));
  ModelSpec spec = whole.spec;
  spec.layers = static_cast<int>(kept.size());
  std::map<std::string, TensorView> values;
  for (const auto& wanted : {backbone_tensors(spec), task_head_tensors(spec)})
    for (const TensorSpec& tensor : wanted)
      values[tensor.name] = {model->weight(name_in_whole(tensor.name, spec, whole.spec, kept)), tensor.shape};
  FATHOM_TRY(const std::string bytes, checkpoint_bytes(spec, *encoder.weights, whole.naming, whole.naming, values));
  Json config = encoder.config;
  config[whole.naming.family == Family::distilbert ? "n_layers" : "num_hidden_layers"] = spec.layers;
  return write_checkpoint(folder, encoder.files, bytes, config, to);
}

}  // namespace fathom::api
