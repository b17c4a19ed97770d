// Between modules and files: a bundle written from trained parts, and modules filled from a bundle's tensors, bit for
// bit.
#pragma once

#include <filesystem>

#include "bundle/bundle.h"
#include "bundle/safetensors.h"
#include "data/dataset.h"
#include "model/naming.h"
#include "train/decision.h"
#include "train/options.h"
#include "train/prepare.h"

namespace fathom::train {

// model.safetensors and fathom.safetensors, tensors in the order of model/names.h. Error: internal if one is missing or
// has another shape.
Result<std::string> backbone_bytes(const Backbone& backbone);
Result<std::string> decision_bytes(const ModelSpec& spec, const std::map<std::string, torch::Tensor>& tensors);

// The file of a checkpoint that holds these weights, named as in model/names.h; what they do not reach comes from
// `before` (model/checkpoint_file.h).
Result<std::string> checkpoint_file(const ModelSpec& spec, const SafeTensors& before, const Naming& naming,
                                    const std::map<std::string, torch::Tensor>& weights);
// Where the bundle's files lie that `replaced` has no newer one of.
std::map<std::string, std::filesystem::path> other_files(const Bundle& bundle,
                                                         const std::map<std::string, std::string>& replaced);

// Fills the modules from files. Error: corrupt_bundle naming the tensor.
Status load_backbone(Backbone& backbone, const SafeTensors& tensors);
Status load_heads(Heads& heads, const SafeTensors& tensors);

struct BundleParts {
  const Prepared& prepared;
  const Backbone& backbone;
  const Heads& heads;
  const DecisionResult& decision;
  const data::Dataset& dataset;
  const FitOptions& options;
  Json facts;        // goes into provenance: stage facts, no times
  Json teacher_use;  // what the teacher was fitted on (data/split_use.h); null: none
};
Status export_bundle(const BundleParts& parts);  // to options.output

// Exits and decision onto an imported bundle: its files are kept byte for byte, fathom.json gains policy, data,
// provenance.
struct FrozenParts {
  const ModelSpec& spec;
  const Heads& heads;
  const DecisionResult& decision;
  const Json& facts;  // frozen.json: data, options, split_use
};
Status export_onto(const std::filesystem::path& bundle, const FrozenParts& parts);

}  // namespace fathom::train
