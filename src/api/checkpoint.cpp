#include "api/checkpoint.h"

#include <cmath>
#include <set>

#include "base/file.h"
#include "base/sha256.h"
#include "data/preprocessing.h"
#include "data/split_use.h"
#include "data/tokenizer.h"
#include "model/finite.h"

namespace fathom::api {
namespace {

constexpr const char* kIndex = "model.safetensors.index.json";
constexpr std::uint64_t kMaxJson = 16u << 20;
constexpr double kParity = 1e-4;  // fp32 summed in another order stays far below
// Small files beside the weights that say how inputs are read.
constexpr const char* kBeside[] = {"tokenizer.json",
                                   "vocab.txt",
                                   "vocab.json",
                                   "merges.txt",
                                   "tokenizer_config.json",
                                   "special_tokens_map.json",
                                   "added_tokens.json",
                                   "preprocessor_config.json"};

bool there(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

Result<std::shared_ptr<const SafeTensors>> open_weights(const fs::path& folder, std::vector<std::string>& files) {
  if (there(folder / "model.safetensors")) {
    files.push_back("model.safetensors");
    return SafeTensors::open(folder / "model.safetensors");
  }
  if (there(folder / kIndex)) {
    FATHOM_TRY(const auto shards, SafeTensors::shards_of(folder / kIndex));
    files.push_back(kIndex);
    files.insert(files.end(), shards.begin(), shards.end());
    return SafeTensors::open_sharded(folder / kIndex);
  }
  if (there(folder / "pytorch_model.bin"))
    return Error{Code::unsupported,
                 "'" + (folder / "pytorch_model.bin").string() + "' is a pickle, which can run code when it is read",
                 "save it again in Python: model.save_pretrained(folder, safe_serialization=True)"};
  return Error{Code::bad_input, "'" + folder.string() + "' holds no model.safetensors",
               "give the folder of a Hugging Face model"};
}

// The tokenizer must fit the model; its length bounds the model's, its notes and keys go with the model's.
Status apply_tokenizer(const fs::path& folder, Checkpoint& checkpoint) {
  ModelSpec& spec = checkpoint.spec;
  if (spec.modality == Modality::image) return {};
  FATHOM_TRY(const auto tokenizer, data::Tokenizer::read(folder));
  if (tokenizer.model_size() > spec.vocab)
    return Error{Code::bad_input,
                 "'" + folder.string() + "': the tokenizer has ids up to " +
                     std::to_string(tokenizer.model_size() - 1) + ", the word embeddings have " +
                     std::to_string(spec.vocab) + " rows",
                 "the tokenizer and the weights do not belong together"};
  for (const std::string& name : tokenizer.added_from(spec.vocab))
    checkpoint.notes.push_back("added token '" + name.substr(0, 80) +
                               "' has no row of the word embeddings: a text that holds it is refused");
  if (tokenizer.longest() && *tokenizer.longest() < spec.max_tokens)
    spec.max_tokens = static_cast<int>(*tokenizer.longest());
  checkpoint.notes.insert(checkpoint.notes.end(), tokenizer.notes().begin(), tokenizer.notes().end());
  checkpoint.unread.insert(checkpoint.unread.end(), tokenizer.unread().begin(), tokenizer.unread().end());
  return {};
}

// The checkpoint's mean and deviation into the spec; its pictures must end in the size that the model reads.
Status apply_preprocessing(const fs::path& folder, Checkpoint& checkpoint) {
  ModelSpec& spec = checkpoint.spec;
  if (spec.modality == Modality::text) return {};
  FATHOM_TRY(const auto how, data::read_preprocessing(folder));
  if (!how) {
    checkpoint.notes.push_back("no preprocessor_config.json: pictures are resized to fit, mean and deviation are 0.5");
    return {};
  }
  for (const std::string& key : how->unread) checkpoint.unread.push_back(key);
  const auto size = how->output();
  if (size.height != spec.image_height || size.width != spec.image_width)
    return Error{Code::bad_input,
                 "'" + (folder / "preprocessor_config.json").string() + "': pictures become " +
                     std::to_string(size.height) + "x" + std::to_string(size.width) +
                     " (0x0: it depends on the picture), the model reads " + std::to_string(spec.image_height) + "x" +
                     std::to_string(spec.image_width),
                 "set 'size', or 'crop_size' with do_center_crop, to the model's"};
  const auto statistics = data::unit_statistics(*how);
  for (std::size_t i = 0; i < 3; ++i) {
    spec.pixel_mean[i] = static_cast<float>(statistics.mean[i]);
    spec.pixel_std[i] = static_cast<float>(statistics.std[i]);
  }
  return validate(spec, "'" + folder.string() + "'");
}

struct Loaded {
  Imported imported;
  Json fathom;
};

Result<Loaded> load(const fs::path& folder, engine::Runtime& runtime) {
  FATHOM_TRY(CheckpointFiles files, open_checkpoint(folder));
  Loaded out;
  Imported& imported = out.imported;
  const auto& weights = files.weights;
  imported.files = std::move(files.own);
  imported.files.insert(imported.files.end(), files.beside.begin(), files.beside.end());
  FATHOM_TRY(imported.checkpoint,
             read_checkpoint(files.config, *weights, "'" + (folder / "config.json").string() + "'"));
  FATHOM_TRY_VOID(apply_preprocessing(folder, imported.checkpoint));
  FATHOM_TRY_VOID(apply_tokenizer(folder, imported.checkpoint));
  const ModelSpec& spec = imported.checkpoint.spec;
  FATHOM_TRY(const auto model, Model::of_checkpoint(spec, imported.checkpoint.naming, weights));
  FATHOM_TRY_VOID(check_finite(spec, imported.checkpoint.naming, *weights));
  for (const auto& wanted : {backbone_tensors(spec), task_head_tensors(spec)})
    for (const TensorSpec& tensor : wanted) imported.parameters += static_cast<std::size_t>(elements_of(tensor.shape));
  if (there(folder / "reference.json")) {
    FATHOM_TRY(auto plan, engine::Plan::compile(model, runtime));
    FATHOM_TRY(imported.parity, compare_with_reference(std::move(plan), runtime, folder / "reference.json"));
    if (!(imported.parity->largest <= kParity))
      return Error{Code::bad_input,
                   "our logits differ from '" + (folder / "reference.json").string() + "' by " +
                       (std::isinf(imported.parity->largest) ? "more than any number: some are not finite"
                                                             : Json(imported.parity->largest).dump()) +
                       ", at most " + Json(kParity).dump() + " is expected",
                   "the reference belongs to other weights, or report this"};
  }
  out.fathom = {{"model", {{"spec", spec_to_json(spec)}, {"names", naming_to_json(imported.checkpoint.naming)}}},
                {"provenance", {{"imported", imported.checkpoint.family}}}};
  FATHOM_TRY(const Json use, data::read_split_use(folder));  // a fitted bundle is a checkpoint too
  if (!use.empty()) out.fathom["split_use"] = use;
  return out;
}

}  // namespace

Result<CheckpointFiles> open_checkpoint(const std::filesystem::path& folder) {
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored))
    return Error{Code::io, "no folder '" + folder.string() + "'", "give the folder of a Hugging Face model"};
  CheckpointFiles out;
  const fs::path config = folder / "config.json";
  if (there(folder / "adapter_config.json")) {
    const auto text = read_file(folder / "adapter_config.json", kMaxJson);
    const auto json = text.has_value() ? parse_json(*text, "") : Result<Json>(Json::object());
    const Json base = json.has_value() && json->is_object() ? json->value("base_model_name_or_path", Json()) : Json();
    return Error{Code::unsupported,
                 "'" + folder.string() + "' holds an adapter (adapter_config.json: LoRA or another of peft) of " +
                     (base.is_string() ? "'" + base.get<std::string>().substr(0, 120) + "'" : "another model") +
                     ", not a whole model",
                 "merge it in Python: model.merge_and_unload().save_pretrained(folder)"};
  }
  FATHOM_TRY(const std::string text, read_file(config, kMaxJson));
  FATHOM_TRY(out.config, parse_json(text, "'" + config.string() + "'", Code::bad_input));
  out.own.push_back("config.json");
  FATHOM_TRY(out.weights, open_weights(folder, out.own));
  for (const char* name : kBeside)
    if (there(folder / name)) out.beside.push_back(name);
  return out;
}

Result<std::string> checkpoint_sha256(const std::filesystem::path& folder) {
  FATHOM_TRY(const CheckpointFiles files, open_checkpoint(folder));
  std::set<std::string> names(files.own.begin(), files.own.end());
  names.insert(files.beside.begin(), files.beside.end());
  Sha256 all;
  for (const std::string& name : names) {
    FATHOM_TRY(const MappedFile file, MappedFile::open(folder / name));
    all.update(name + " " + sha256_hex(file.bytes()) + "\n");
  }
  return all.hex();
}

Result<Imported> check_checkpoint(const std::filesystem::path& folder, engine::Runtime& runtime) {
  FATHOM_TRY(Loaded loaded, load(folder, runtime));
  return std::move(loaded.imported);
}

Result<Imported> import_checkpoint(const std::filesystem::path& folder, const std::filesystem::path& bundle,
                                   engine::Runtime& runtime) {
  FATHOM_TRY(Loaded loaded, load(folder, runtime));
  std::map<std::string, fs::path> copies;
  for (const std::string& name : loaded.imported.files) copies[name] = folder / name;
  FATHOM_TRY_VOID(write_bundle(bundle, {}, loaded.fathom, copies));
  // Read back as a run will, and packed for this machine, so that the first run begins at once.
  FATHOM_TRY(auto written, Bundle::open(bundle));
  FATHOM_TRY(auto model, Model::load(std::move(written)));
  FATHOM_TRY(const auto plan, engine::Plan::compile(std::move(model), runtime));
  (void)plan;
  return std::move(loaded.imported);
}

}  // namespace fathom::api
