// How a checkpoint's file names what model/names.h calls by BERT's names: one scheme a family, as `transformers` and
// timm write them. Where a file stores several of our tensors in one (timm's fused q, k, v; RoBERTa's position table,
// whose first rows no text uses), ours are parts of it: nothing is copied. Thread rule: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "model/names.h"

namespace fathom {

enum class Family { fathom, bert, roberta, distilbert, vit, timm };  // vit: ViT and DeiT

struct Naming {
  Family family = Family::fathom;
  std::string prefix;  // before the backbone's tensors: "bert.", "distilbert.", "vit.", "deit.", "" (a bare encoder)
  int first_position = 0;  // row of the position table that token 0 uses (RoBERTa: pad_token_id + 1)
  int positions = 0;       // text: rows of that table; the spec's max_tokens may be fewer
  bool operator==(const Naming&) const = default;
};

Json naming_to_json(const Naming& naming);
Result<Naming> naming_from_json(const Json& json, const std::string& where);  // Error: corrupt_bundle

// Where one of our tensors lies: elements from `offset` on of the file's tensor `name`, which has `shape`.
struct TensorSource {
  std::string name;
  std::vector<std::int64_t> shape;
  std::int64_t offset = 0;
};

// One source; two for the heads of a DeiT with a teacher, whose outputs are averaged: our matrix holds the halves of
// both side by side, our bias the mean of both. `wanted` is one of backbone_tensors() or task_head_tensors().
std::vector<TensorSource> sources_of(const ModelSpec& spec, const Naming& naming, const TensorSpec& wanted);

}  // namespace fathom
