// What a Hugging Face (or timm) checkpoint is, as a ModelSpec and a Naming: read from config.json and the tensors'
// names. BERT (MiniLM too), RoBERTa, DistilBERT, ViT, DeiT with and without a teacher, timm's ViT and DeiT. Whatever
// changes the arithmetic and is not computed here is refused by name, with the nearest supported form. What pictures
// are normalised by stands elsewhere (data/preprocessing.h); pixel_mean and pixel_std keep their defaults. Errors:
// unsupported, bad_input (config.json and weights do not fit). Thread rule: pure functions.
#pragma once

#include <string>
#include <vector>

#include "bundle/safetensors.h"
#include "model/naming.h"
#include "model/spec.h"

namespace fathom {

struct Checkpoint {
  ModelSpec spec;  // with size_decision() done: exits read [CLS; mean]
  Naming naming;
  bool has_classifier = true;       // false: an encoder before fine-tuning; the spec has no classes of its own then
  std::string family;               // for people: "BERT", "ViT (timm)", ...
  std::vector<std::string> notes;   // what was left out and why
  std::vector<std::string> unread;  // keys of the config files that are neither used nor known to say nothing
};

// config: config.json; tensors: the checkpoint's weights; where: how errors call it.
// classes: names for the classifier that an encoder is to get (a classifier that is there keeps its own names).
Result<Checkpoint> read_checkpoint(const Json& config, const SafeTensors& tensors, const std::string& where,
                                   const std::vector<std::string>& classes = {});

}  // namespace fathom
