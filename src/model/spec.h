// ModelSpec: everything about a model's shape, as plain data with defaults. Read from and written to a
// bundle's config.json. What not: weights, policies, anything live. Thread rule: plain values.
// Source: paper sections 3.1 and appendix D (12 layers, hidden 768, 12 heads); the rest are measured choices.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace fathom {

enum class Modality { text, image };
enum class NormOrder { pre, post };    // pre-LN (ViT) or post-LN (BERT)
enum class Pooling { cls, cls_mean };  // what exit heads read: CLS, or [CLS; mean over all tokens]

// How tokens mix. softmax: as everybody's. linear: kernel attention (Katharopoulos et al. 2020), whose cost grows with
// the length and not with its square: out_i = phi(q_i) sum_j phi(k_j) v_j^T / (phi(q_i) . sum_j phi(k_j)), phi(x) = x +
// 1 above 0, e^x else (x at least -30). q and k are taken as they are, without softmax's 1/sqrt(head size).
enum class Attention { softmax, linear };

// Form of the last head. `exit`: the exits' own form. The others are a checkpoint's own classifier, kept as it is:
// `pooler_tanh` (BERT, RoBERTa) and `pooler_relu` (DistilBERT): Linear, activation, Linear on CLS; `norm_cls` (ViT,
// DeiT): LayerNorm of CLS, Linear; `norm_distilled` (DeiT with a teacher): mean of two Linears, on CLS and on the
// distillation token, each after that LayerNorm.
enum class TaskHead { exit, pooler_tanh, pooler_relu, norm_cls, norm_distilled };
enum class HeadActivation { gelu, tanh, relu };

// What one head computes: rows read, LayerNorm over `norm` values at a time (0: none), Linear to `dense` (0: none) and
// activation, Linear to the classes.
struct HeadShape {
  enum class Reads { cls, cls_mean, first_two };
  Reads reads = Reads::cls;
  int input = 0, norm = 0, dense = 0;
  HeadActivation activation = HeadActivation::gelu;
  int out_input() const { return dense > 0 ? dense : input; }
};

// Feature extractor over the layer-0 hidden states h^0 (embedding output), seen as a grid of tokens
// (text: 1 x tokens, CLS included; image: rows x columns of patches, CLS left out). Paper 3.1, sized by the backbone.
struct ExtractorSpec {
  int embed = 128;                  // width of the projection of h^0
  int c1 = 64, c2 = 128, c3 = 256;  // channels of h1, h2, h3 (3x3 convolutions, 1x3 where the grid has one row)
  bool operator==(const ExtractorSpec&) const = default;
};

// Maps of every layer as two factors: `.weight` [out, rank] after `factor.weight` [rank, in], no bias between; 0: one
// matrix. qkv: one factor for the three. shared: the factors [rank, in] are those of the whole model, not of a layer.
struct MapRanks {
  int qkv = 0, o = 0, f1 = 0, f2 = 0;
  bool shared = false;
  int most() const { return std::max({qkv, o, f1, f2}); }
  bool any() const { return most() > 0; }
  bool operator==(const MapRanks&) const = default;
};

struct ModelSpec {
  Modality modality = Modality::text;
  int layers = 12, hidden = 768, heads = 12, ffn = 3072;  // layers <= 64: a trajectory is a 64-bit mask
  int head_size = 0;  // width of one head; 0: hidden / heads. Set where heads were pruned: heads * head_size < hidden
  NormOrder norm = NormOrder::post;
  Attention attention = Attention::softmax;
  int attention_window = 0;  // 0: full attention; w: a token sees |i - j| <= w (softmax only)
  MapRanks ranks;            // maps folded into two factors
  Pooling pooling = Pooling::cls_mean;
  float layer_norm_eps = 1e-12f;
  // text
  int vocab = 30522, max_tokens = 512, token_types = 2;  // token_types 0: no such table
  int padding_id = -1;  // RoBERTa: this id in a text has a position of its own and is not counted; -1: no such id
  int word_width = 0;   // of the word table's rows, projected to hidden before positions are added; 0: hidden
  // image (RGB, height x width, cut into patch x patch)
  int image_height = 224, image_width = 224, patch = 32;
  int prefix_tokens = 1;                                 // before the patches: CLS, and DeiT's distillation token
  std::array<float, 3> pixel_mean = {0.5f, 0.5f, 0.5f};  // x = (byte/255 - mean) / std, per channel R, G, B
  std::array<float, 3> pixel_std = {0.5f, 0.5f, 0.5f};
  // heads: LayerNorm + Linear, or LayerNorm + Linear(h) + GELU + Linear
  int exit_head_hidden = 256;  // exits 1..L-1; 0: linear
  int task_head_hidden = 0;    // the last exit
  TaskHead task_head = TaskHead::exit;
  ExtractorSpec extractor;
  int policy_hidden = 128;  // LSTM width
  std::vector<std::string> label_names;

  int classes() const { return static_cast<int>(label_names.size()); }
  int head_dim() const { return head_size > 0 ? head_size : hidden / heads; }
  int attention_width() const { return heads * head_dim(); }  // of q, k, v and of what attention mixes; hidden, or less
  int pooled() const { return pooling == Pooling::cls ? hidden : 2 * hidden; }
  int grid_rows() const { return modality == Modality::text ? 1 : image_height / patch; }
  int grid_columns() const { return image_width / patch; }  // image only; a text's is its token count
  int patch_elems() const { return 3 * patch * patch; }
  // Rows of a text's position table; where there is a padding id its position comes first.
  int position_rows() const { return max_tokens + (padding_id >= 0 ? 1 : 0); }
  // Tokens of one image, CLS included; for text the cap on tokens.
  int tokens() const { return modality == Modality::text ? max_tokens : grid_rows() * grid_columns() + prefix_tokens; }
  int head_hidden(int exit) const { return exit == layers ? task_head_hidden : exit_head_hidden; }  // exit: 1..layers
  HeadShape head_shape(int exit) const;                                                             // exit: 1..layers
  bool operator==(const ModelSpec&) const = default;
};

// Sets extractor, policy_hidden and exit_head_hidden to the backbone's size:
// channels = round up to 8 of paper's * hidden / 768 (at least 8), LSTM likewise (at least 16), head = min(256,
// hidden).
void size_decision(ModelSpec& spec);

// LABEL_0, LABEL_1, ...: what transformers writes when nobody named the classes.
bool unnamed_labels(const std::vector<std::string>& labels);

// Every field in range and consistent (hidden % heads == 0, image % patch == 0, ...). Error: corrupt_bundle.
Status validate(const ModelSpec& spec, const std::string& where);

// config.json: flat, every field of the modality; the other modality's fields are left out and read back as defaults.
Json spec_to_json(const ModelSpec& spec);
Result<ModelSpec> spec_from_json(const Json& json, const std::string& where);  // strict; runs validate

// The double whose shortest text reads back as this float: 1e-12f is written 1e-12, not 9.999999960041972e-13.
double short_decimal(float value);

}  // namespace fathom
