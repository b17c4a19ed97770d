// Names and shapes of a model's tensors. Backbone names follow Hugging Face's BERT (text) so that a BERT
// checkpoint's encoder reads unchanged; the pre-LN image model uses ViT's words in the same scheme.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "model/spec.h"

namespace fathom {

struct TensorSpec {
  std::string name;
  std::vector<std::int64_t> shape;
};

// model.safetensors, in file order. i = 0..layers-1:
//   text : embeddings.word_embeddings.weight [vocab, hidden] (word_width > 0: [vocab, word_width], and
//          embeddings.word_projection.weight [hidden, word_width]), embeddings.position_embeddings.weight [max_tokens,
//          hidden], embeddings.token_type_embeddings.weight [token_types, hidden] (if token_types > 0; row 0 is added),
//          embeddings.LayerNorm.{weight,bias} (post-LN only)
//   image: embeddings.patch_embeddings.projection.weight [hidden, 3, patch, patch], .bias [hidden],
//          embeddings.cls_token [hidden], embeddings.distillation_token [hidden] (if prefix_tokens == 2),
//          embeddings.position_embeddings [tokens, hidden]
//   layer: encoder.layer.i.attention.self.{query,key,value}.{weight [attention_width, hidden],bias},
//          encoder.layer.i.attention.output.dense.{weight [hidden, attention_width],bias},
//          encoder.layer.i.intermediate.dense.{weight [ffn, hidden],bias}, encoder.layer.i.output.dense.{weight
//          [hidden, ffn],bias} a map of rank r > 0 (spec.ranks): its weight is [out, r], behind
//          encoder.layer.i.{attention.self,attention.output,intermediate,output}.factor.weight [r, in];
//          factors_shared: encoder.{attention.self,...}.factor.weight instead, before the layers
//          post-LN: encoder.layer.i.attention.output.LayerNorm.*, encoder.layer.i.output.LayerNorm.*
//          pre-LN : encoder.layer.i.layernorm_before.*, encoder.layer.i.layernorm_after.*
std::vector<TensorSpec> backbone_tensors(const ModelSpec& spec);

// The four maps of a layer in the order of their run; what shares one input and one factor counts as one (q, k and v).
struct LayerMap {
  std::string name;  // "attention.self", "attention.output", "intermediate", "output": `<name>.factor.weight`
  std::vector<std::string>
      parts;  // {"attention.self.query", ...}, {"attention.output.dense"}, ...: `<part>.{weight,bias}`
  int in = 0, out = 0, rank = 0;                                        // out: of one part; rank 0: one matrix
  int outputs() const { return out * static_cast<int>(parts.size()); }  // of all parts
  int reads() const { return rank > 0 ? rank : in; }                    // columns of a part's weight
};
std::array<LayerMap, 4> layer_maps(const ModelSpec& spec);
std::string factor_name(const ModelSpec& spec, int layer, const LayerMap& map);  // with ".weight"; layer counts from 0

// The last head where it is a checkpoint's own (spec.task_head != exit), in model.safetensors: exits.L.* as below.
std::vector<TensorSpec> task_head_tensors(const ModelSpec& spec);

// fathom.safetensors. e = 1..layers (exit after layer e; without the last where it is a checkpoint's), P =
// spec.pooled():
//   exits.e.norm.{weight,bias} [P]; if head_hidden(e) > 0: exits.e.dense.{weight [hidden_e, P],bias};
//   exits.e.out.{weight [classes, hidden_e or P],bias}
//   extractor.proj.{weight [embed, hidden],bias}; extractor.conv1.{weight [c1, embed, kh, 3],bias};
//   extractor.conv2.{weight [c2, c1, kh, 3],bias}  (kh = 1 if grid_rows() == 1 else 3)
//   policy.init.{weight [H, 2*c2+1],bias}; policy.lstm.weight_ih [4H, kPolicyInputs]; policy.lstm.weight_hh [4H, H];
//   policy.lstm.bias [4H]; policy.out.{weight [2, H],bias [2]}   (rows: stop, skip)
// conv3 and the h3 head serve distillation in training only and are not shipped.
std::vector<TensorSpec> decision_tensors(const ModelSpec& spec);

inline constexpr int kPolicyInputs = 7;  // policy/signals.h: six signals and the 'observed' flag

}  // namespace fathom
