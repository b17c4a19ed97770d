// The model in LibTorch: the backbone and its exit heads, the same arithmetic as docs/formats/bundle.md states.
// Parameters live in one flat buffer each for values and gradients, so that the optimiser, a checkpoint and a
// data-parallel copy handle one tensor. Dropout draws from a generator of the module's own, never the global one.
// Thread rule: a module belongs to one thread; `share` makes copies that alias the values for other threads.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "model/spec.h"
#include "train/fake_int8.h"
#include "train/fused_layer.h"
#include "train/torch.h"

namespace fathom::train {

// Examples as tensors. Text: ids and lengths; image: pixels (lengths hold the token count of every picture).
struct Encoded {
  torch::Tensor ids;         // [n, T] int64, padded with 0 behind each text
  torch::Tensor types;       // [n, T] int64, token types; undefined: all 0
  torch::Tensor lengths;     // [n] int64, tokens
  torch::Tensor pixels;      // [n, H, W, 3] uint8
  torch::Tensor labels;      // [n] int64
  torch::Tensor complexity;  // [n] int64, generated data only; else undefined
  std::int64_t size() const { return labels.size(0); }
  Encoded select(const torch::Tensor& rows) const;            // rows: [m] int64; text is cut to the longest kept text
  Encoded slice(std::int64_t begin, std::int64_t end) const;  // likewise
  Encoded sample(std::int64_t most) const;                    // at most so many rows, drawn as in data/sample.h
};

// [min(count, most)] int64, rising: rows of `count` to look at where all are too many.
torch::Tensor sampled_rows(std::int64_t count, std::int64_t most);

// Values and gradients of a module's parameters, each as one flat tensor that the parameters view.
class FlatParameters {
 public:
  FlatParameters() = default;
  explicit FlatParameters(std::vector<torch::Tensor> parameters);
  // Parameters from `first` on, in the order given, learn `factor` times as fast as the rest.
  void scale_rate(std::size_t first, float factor);
  const torch::Tensor& values() const { return values_; }
  const torch::Tensor& gradients() const { return gradients_; }
  struct Range {
    std::int64_t begin = 0, end = 0;
    float rate = 1.0f;
    bool decays = false;  // matrices and tables take weight decay; biases, norms and single vectors do not
  };
  const std::vector<Range>& ranges() const { return ranges_; }
  // Makes these parameters view `source`'s values, keeping their own gradients.
  void share(const FlatParameters& source);

 private:
  void view(const torch::Tensor& values);
  std::vector<torch::Tensor> parameters_;
  torch::Tensor values_, gradients_;
  std::vector<Range> ranges_;
};

class Backbone : public torch::nn::Module {
 public:
  // Random weights from torch's global generator (call torch::manual_seed first).
  explicit Backbone(const ModelSpec& spec);

  torch::Tensor embed(const Encoded& batch);                   // h0 [B, T, hidden]
  torch::Tensor positions_of(const torch::Tensor& ids) const;  // their rows of the position table, to be added
  // What `layer` needs to know of the inputs: their lengths [B]; rows may be taken from it with index_select.
  torch::Tensor attention_mask(const Encoded& batch) const;
  torch::Tensor layer(int l, const torch::Tensor& h, const torch::Tensor& mask);  // l: 0-based
  torch::Tensor pooled(const torch::Tensor& h, const Encoded& batch) const;       // [B, spec.pooled()]
  torch::Tensor deepest(const Encoded& batch);                                    // states of the last layer
  // What layer l (0-based) makes of the states that it reads: queries, keys and values side by side, [B, T, 3
  // attention_width].
  torch::Tensor queries_keys_values(int l, const torch::Tensor& h) const;

  // Views of the parameters under the names of model/names.h; writing into them changes the module.
  std::map<std::string, torch::Tensor> named_weights() const;
  const ModelSpec& spec() const { return spec_; }
  // Dropout after attention, FFN and embedding, while training.
  void set_dropout(double p) { dropout_ = p; }
  // False: layers run as plain torch operators, the reference of the fused ones.
  void set_fused(bool fused) { fused_ = fused; }
  // From here on as the engine's int8 computes: word rows, the layers' maps and what they read are rounded
  // (fake_int8.h), activations to 0..levels. 0: not. Norms, attention and the tables of positions and types are not;
  // the latter are bf16 in an int8 bundle.
  void set_int8(int levels) { levels_ = levels; }
  int int8_levels() const { return levels_; }
  // Text: the tables below layer 1 stay as they are, but for narrow word rows. Call before FlatParameters takes the
  // parameters that learn.
  void freeze_embeddings();
  // A mask as dropout draws it, scaled, for another module's [rows, width]; undefined when nothing is dropped.
  torch::Tensor dropout_mask(std::int64_t rows, std::int64_t width) const {
    return keep_mask(torch::empty({rows, width}));
  }
  void seed_dropout(std::uint64_t seed) { generator_.set_current_seed(seed); }

 private:
  torch::Tensor linear_weight(const std::string& name, std::int64_t out, std::int64_t in);
  torch::Tensor vector(const std::string& name, std::int64_t size, float value);
  torch::Tensor additive_mask(std::int64_t tokens, const torch::Tensor& lengths) const;
  torch::Tensor softmax_attention(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                                  const torch::Tensor& lengths) const;
  torch::Tensor keep_mask(const torch::Tensor& like) const;
  torch::Tensor norm(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias) const;
  torch::Tensor drop(const torch::Tensor& x) const;
  torch::Tensor patches(const torch::Tensor& pixels) const;

  ModelSpec spec_;
  double dropout_ = 0;
  mutable torch::Generator generator_;
  torch::Tensor word_, word_projection_, position_, type_, embed_norm_w_, embed_norm_b_;  // text
  torch::Tensor patch_w_, patch_b_, cls_, distill_;                                       // image
  // A layer as it is kept: of a map in two factors its weight is the second, [out, rank], and the first lies beside it.
  struct Layer {
    FusedLayer own;
    std::array<torch::Tensor, 4> factors;  // [rank, in] in the order of layer_maps(); undefined: one matrix
  };
  FusedLayer whole(const Layer& layer) const;  // its products
  torch::Tensor map(const torch::Tensor& x, const torch::Tensor& factor, const torch::Tensor& weight,
                    const torch::Tensor& bias) const;
  torch::Tensor int8_weights(const torch::Tensor& weights) const {
    return levels_ > 0 ? fake_int8_weights(weights) : weights;
  }
  torch::Tensor int8_rows(const torch::Tensor& rows) const {
    return levels_ > 0 ? fake_int8_rows(rows, levels_) : rows;
  }
  torch::Tensor attention(const Layer& layer, const torch::Tensor& x, const torch::Tensor& lengths) const;
  std::vector<Layer> layers_;
  bool fused_ = true;
  int levels_ = 0;
};

// Exit heads 1..layers; the last is the task head, left out where it is an imported checkpoint's own.
class Heads : public torch::nn::Module {
 public:
  explicit Heads(const ModelSpec& spec);
  torch::Tensor logits(int exit, const torch::Tensor& pooled) const;  // exit: 1-based; [B, classes]
  std::map<std::string, torch::Tensor> named_weights() const;
  std::vector<torch::Tensor> exit_parameters(int exit) const;  // own ones of one exit

 private:
  struct Head {
    torch::Tensor norm_w, norm_b, dense_w, dense_b, out_w, out_b;
  };
  ModelSpec spec_;
  std::vector<Head> heads_;
};

// What `head` makes of the last layer's states, [n, width], in evaluation mode without gradients, 64 rows at a time.
torch::Tensor evaluate_last(Backbone& backbone, const Encoded& data, std::int64_t width,
                            const std::function<torch::Tensor(const Encoded& part, const torch::Tensor& h)>& head);
double accuracy_of(const torch::Tensor& logits, const torch::Tensor& labels);  // [n, classes], [n]; 0 without rows

// Logits of every exit, [n, layers, classes], in evaluation mode without gradients, `batch` rows at a time.
torch::Tensor all_logits(Backbone& backbone, const Heads& heads, const Encoded& data, std::int64_t batch);

}  // namespace fathom::train
