#include "train/export.h"

#include "bundle/bundle.h"
#include "data/dataset_record.h"
#include "data/split_use.h"
#include "model/checkpoint_file.h"
#include "model/names.h"

namespace fathom::train {
namespace {

using torch::Tensor;
using Named = std::map<std::string, Tensor>;

Result<std::string> bytes_of(const std::vector<TensorSpec>& specs, const Named& tensors) {
  std::vector<Tensor> kept;  // owns the contiguous copies the views point to
  std::vector<NamedTensor> views;
  for (const auto& spec : specs) {
    const auto found = tensors.find(spec.name);
    if (found == tensors.end())
      return Error{Code::internal, "tensor '" + spec.name + "' was not trained", "report this"};
    if (found->second.sizes().vec() != spec.shape) {
      return Error{Code::internal,
                   "tensor '" + spec.name + "' has shape " + shape_text(found->second.sizes().vec()) + ", expected " +
                       shape_text(spec.shape),
                   "report this"};
    }
    kept.push_back(found->second.detach().to(torch::kFloat).contiguous());
    views.push_back({spec.name, {kept.back().data_ptr<float>(), spec.shape}});
  }
  return safetensors_bytes(views);
}

Status fill(const Named& targets, const SafeTensors& tensors) {
  torch::NoGradGuard no_grad;
  for (const auto& [name, target] : targets) {
    const TensorView* view = tensors.find(name);
    if (view == nullptr || view->shape != target.sizes().vec()) {
      return Error{Code::corrupt_bundle,
                   tensors.path().string() + ": tensor '" + name + "' is absent or has another shape than " +
                       shape_text(target.sizes().vec()),
                   "fit the bundle again"};
    }
    Tensor to = target;
    to.copy_(torch::from_blob(const_cast<float*>(view->data), view->shape, torch::kFloat));
  }
  return {};
}

// Measured times do not belong in a bundle: the same run must give the same bytes.
Json without_times(Json json) {
  if (json.is_object()) {
    json.erase("seconds");
    for (auto& [key, value] : json.items()) value = without_times(value);
  }
  return json;
}

// What each split served for.
Json use_of(const BundleParts& parts) {
  const bool paper = parts.options.recipe == "paper";
  std::vector<std::string> train = {"trunk", "heads"}, tune = {"heads", "temperatures", "decision"};
  if (parts.prepared.tokenizer && !parts.prepared.teachers_tokens) train.emplace_back("words");
  if (paper) train.emplace_back("decision");
  if (paper || parts.prepared.schedule.keep_best) tune.emplace_back("trunk");  // the best weights on it are kept
  Json use = Json::object();
  data::note_split_use(use, parts.dataset, data::Part::train, train);
  data::note_split_use(use, parts.dataset, data::Part::tune, tune);
  data::carry_split_use(use, parts.teacher_use, "teacher");
  return use;
}

}  // namespace

Result<std::string> backbone_bytes(const Backbone& backbone) {
  return bytes_of(backbone_tensors(backbone.spec()), backbone.named_weights());
}

Result<std::string> decision_bytes(const ModelSpec& spec, const Named& tensors) {
  return bytes_of(decision_tensors(spec), tensors);
}

Result<std::string> checkpoint_file(const ModelSpec& spec, const SafeTensors& before, const Naming& naming,
                                    const Named& weights) {
  std::map<std::string, TensorView> values;
  std::vector<Tensor> kept;  // owns the contiguous copies the views point to
  for (const auto& [name, tensor] : weights) {
    kept.push_back(tensor.contiguous());
    values[name] = {kept.back().data_ptr<float>(), kept.back().sizes().vec()};
  }
  return checkpoint_bytes(spec, before, naming, naming, values);
}

std::map<std::string, std::filesystem::path> other_files(const Bundle& bundle,
                                                         const std::map<std::string, std::string>& replaced) {
  std::map<std::string, std::filesystem::path> out;
  for (const auto& [name, entry] : bundle.fathom()["files"].items())
    if (!replaced.contains(name)) out[name] = bundle.folder() / name;
  return out;
}

Status load_backbone(Backbone& backbone, const SafeTensors& tensors) { return fill(backbone.named_weights(), tensors); }

Status load_heads(Heads& heads, const SafeTensors& tensors) { return fill(heads.named_weights(), tensors); }

Status export_bundle(const BundleParts& parts) {
  const auto& spec = parts.prepared.spec;
  std::map<std::string, std::string> files;
  files["config.json"] = spec_to_json(spec).dump(2) + "\n";
  FATHOM_TRY(files["model.safetensors"], backbone_bytes(parts.backbone));
  Named decision = parts.decision.tensors;
  for (const auto& [name, tensor] : parts.heads.named_weights()) decision[name] = tensor;
  FATHOM_TRY(files["fathom.safetensors"], decision_bytes(spec, decision));
  files["predictor.txt"] = parts.decision.predictor_text;
  if (parts.prepared.tokenizer) {
    files["tokenizer.json"] = parts.prepared.tokenizer->to_json();
    files["vocab.txt"] = parts.prepared.tokenizer->vocab_text();
  }
  Json fathom = {{"format", 1},
                 {"policy", policy::policy_to_json(parts.decision.policy)},
                 {"operating_points", Json::object()},
                 {"data", data::record_of(parts.dataset, parts.options.data, read_options(parts.options))}};
  Json training = without_times(parts.facts), schedule = schedule_to_json(parts.prepared.schedule);
  if (training.contains("schedule")) {  // a recipe with one of its own
    schedule = training["schedule"];
    training.erase("schedule");
  }
  fathom["split_use"] = use_of(parts);
  fathom["provenance"] = {{"recipe", parts.options.recipe},
                          {"options", options_to_json(parts.options)},
                          {"schedule", schedule},
                          {"training", training},
                          {"decision", without_times(parts.decision.facts)}};
  return write_bundle(parts.options.output, files, fathom);
}

Status export_onto(const std::filesystem::path& folder, const FrozenParts& parts) {
  FATHOM_TRY(const auto before, Bundle::open(folder));
  std::map<std::string, std::string> files;
  Named decision = parts.decision.tensors;
  for (const auto& [name, tensor] : parts.heads.named_weights()) decision[name] = tensor;
  FATHOM_TRY(files["fathom.safetensors"], decision_bytes(parts.spec, decision));
  files["predictor.txt"] = parts.decision.predictor_text;
  Json fathom = before->fathom();
  fathom["model"]["spec"] = spec_to_json(parts.spec);
  fathom["policy"] = policy::policy_to_json(parts.decision.policy);
  fathom["operating_points"] = Json::object();
  fathom["data"] = parts.facts["data"];
  Json use = data::split_use_of(fathom);
  if (parts.facts.contains("split_use")) data::carry_split_use(use, parts.facts["split_use"]);
  fathom["split_use"] = use;
  fathom["provenance"]["recipe"] = parts.facts["options"].value("trunk", "frozen");
  fathom["provenance"]["options"] = parts.facts["options"];
  fathom["provenance"]["decision"] = without_times(parts.decision.facts);
  return write_bundle(folder, files, fathom, other_files(*before, files));
}

}  // namespace fathom::train
