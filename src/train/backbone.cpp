#include "train/backbone.h"

#include <ATen/CPUGeneratorImpl.h>

#include <cmath>
#include <limits>

#include "data/sample.h"
#include "model/names.h"
#include "train/rows_at_once.h"

namespace fathom::train {

namespace F = torch::nn::functional;
using torch::Tensor;

Encoded Encoded::select(const Tensor& rows) const {
  Encoded out;
  out.labels = labels.index_select(0, rows);
  out.lengths = lengths.index_select(0, rows);
  if (complexity.defined()) out.complexity = complexity.index_select(0, rows);
  if (pixels.defined()) out.pixels = pixels.index_select(0, rows);
  if (ids.defined()) {
    const auto longest = rows.size(0) == 0 ? 1 : out.lengths.max().item<std::int64_t>();
    out.ids = ids.narrow(1, 0, longest).index_select(0, rows);
    if (types.defined()) out.types = types.narrow(1, 0, longest).index_select(0, rows);
  }
  return out;
}

Encoded Encoded::slice(std::int64_t begin, std::int64_t end) const {
  Encoded out;
  const auto n = end - begin;
  out.labels = labels.narrow(0, begin, n);
  out.lengths = lengths.narrow(0, begin, n);
  if (complexity.defined()) out.complexity = complexity.narrow(0, begin, n);
  if (pixels.defined()) out.pixels = pixels.narrow(0, begin, n);
  if (ids.defined()) {
    const auto longest = n == 0 ? 1 : out.lengths.max().item<std::int64_t>();
    out.ids = ids.narrow(0, begin, n).narrow(1, 0, longest).contiguous();
    if (types.defined()) out.types = types.narrow(0, begin, n).narrow(1, 0, longest).contiguous();
  }
  return out;
}

Encoded Encoded::sample(std::int64_t most) const {
  return most >= size() ? slice(0, size()) : select(sampled_rows(size(), most));
}

Tensor sampled_rows(std::int64_t count, std::int64_t most) {
  const auto rows = data::sample_rows(static_cast<std::size_t>(count), static_cast<std::size_t>(most));
  return torch::tensor(std::vector<std::int64_t>(rows.begin(), rows.end()), torch::kLong);
}

FlatParameters::FlatParameters(std::vector<Tensor> parameters) : parameters_(std::move(parameters)) {
  torch::NoGradGuard no_grad;
  std::int64_t total = 0;
  for (const auto& p : parameters_) {
    ranges_.push_back({total, total + p.numel(), 1.0f, p.dim() >= 2});
    total += (p.numel() + 15) / 16 * 16;  // keep every parameter 64-byte aligned
  }
  values_ = torch::zeros({total});
  gradients_ = torch::zeros({total});
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    values_.narrow(0, ranges_[i].begin, parameters_[i].numel()).copy_(parameters_[i].reshape({-1}));
  }
  view(values_);
}

void FlatParameters::scale_rate(std::size_t first, float factor) {
  for (std::size_t i = first; i < ranges_.size(); ++i) ranges_[i].rate *= factor;
}

void FlatParameters::view(const Tensor& values) {
  values_ = values;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    auto& p = parameters_[i];
    const auto begin = ranges_[i].begin;
    p.set_data(values_.narrow(0, begin, p.numel()).view(p.sizes()));
    p.mutable_grad() = gradients_.narrow(0, begin, p.numel()).view(p.sizes());
  }
}

void FlatParameters::share(const FlatParameters& source) { view(source.values_); }

Tensor Backbone::linear_weight(const std::string& name, std::int64_t out, std::int64_t in) {
  const double bound = 1.0 / std::sqrt(static_cast<double>(in));
  return register_parameter(name, torch::empty({out, in}).uniform_(-bound, bound));
}

Tensor Backbone::vector(const std::string& name, std::int64_t size, float value) {
  return register_parameter(name, torch::full({size}, value));
}

Backbone::Backbone(const ModelSpec& spec) : spec_(spec), generator_(at::detail::createCPUGenerator(1)) {
  const std::int64_t h = spec.hidden, f = spec.ffn, mixed = spec.attention_width();
  // A windowed model must tell neighbours apart before it can pass anything on; unit-size tables did a little better
  // there (relay, 1,800 steps: 90.3 % against 88.6 %, single runs).
  const double scale = spec.attention_window > 0 ? 1.0 : 0.1;
  if (spec.modality == Modality::text) {
    word_ = register_parameter("word", torch::randn({spec.vocab, spec.word_width > 0 ? spec.word_width : h}) * scale);
    if (spec.word_width > 0) word_projection_ = linear_weight("word_projection", h, spec.word_width);
    position_ = register_parameter("position", torch::randn({spec.position_rows(), h}) * scale);
    if (spec.token_types > 0) type_ = register_parameter("type", torch::zeros({spec.token_types, h}));
    if (spec.norm == NormOrder::post) {
      embed_norm_w_ = vector("embed_norm_w", h, 1);
      embed_norm_b_ = vector("embed_norm_b", h, 0);
    }
  } else {
    const std::int64_t elems = spec.patch_elems();
    const double bound = 1.0 / std::sqrt(static_cast<double>(elems));
    patch_w_ = register_parameter("patch_w", torch::empty({h, 3, spec.patch, spec.patch}).uniform_(-bound, bound));
    patch_b_ = vector("patch_b", h, 0);
    cls_ = register_parameter("cls", torch::randn({h}) * scale);
    if (spec.prefix_tokens == 2) distill_ = register_parameter("distill", torch::randn({h}) * scale);
    position_ = register_parameter("position", torch::randn({spec.tokens(), h}) * scale);
  }
  for (int i = 0; i < spec.layers; ++i) {
    const std::string n = "layer" + std::to_string(i) + "_";
    layers_.emplace_back();
    FusedLayer& layer = layers_.back().own;
    const std::array<LayerMap, 4> maps = layer_maps(spec);
    for (std::size_t m = 0; m < maps.size(); ++m) {
      if (maps[m].rank == 0) continue;
      layers_.back().factors[m] = spec.ranks.shared && i > 0
                                      ? layers_.front().factors[m]
                                      : linear_weight(n + "factor" + std::to_string(m), maps[m].rank, maps[m].in);
    }
    layer.heads = spec.heads;
    layer.window = spec.attention_window;
    layer.linear = spec.attention == Attention::linear;
    layer.eps = spec.layer_norm_eps;
    layer.pre_norm = spec.norm == NormOrder::pre;
    layer.norm1_w = vector(n + "norm1_w", h, 1);
    layer.norm1_b = vector(n + "norm1_b", h, 0);
    layer.qkv_w = linear_weight(n + "qkv_w", 3 * mixed, maps[0].reads());
    layer.qkv_b = vector(n + "qkv_b", 3 * mixed, 0);
    layer.out_w = linear_weight(n + "out_w", h, maps[1].reads());
    layer.out_b = vector(n + "out_b", h, 0);
    layer.norm2_w = vector(n + "norm2_w", h, 1);
    layer.norm2_b = vector(n + "norm2_b", h, 0);
    layer.up_w = linear_weight(n + "up_w", f, maps[2].reads());
    layer.up_b = vector(n + "up_b", f, 0);
    layer.down_w = linear_weight(n + "down_w", h, maps[3].reads());
    layer.down_b = vector(n + "down_b", h, 0);
  }
}

FusedLayer Backbone::whole(const Layer& layer) const {
  FusedLayer out = layer.own;
  Tensor* const maps[] = {&out.qkv_w, &out.out_w, &out.up_w, &out.down_w};
  for (std::size_t m = 0; m < layer.factors.size(); ++m)
    *maps[m] = layer.factors[m].defined() ? torch::mm(*maps[m], layer.factors[m]) : int8_weights(*maps[m]);
  out.levels = levels_;
  return out;
}

Tensor Backbone::map(const Tensor& x, const Tensor& factor, const Tensor& weight, const Tensor& bias) const {
  Tensor read = int8_rows(x);
  if (factor.defined()) read = int8_rows(torch::linear(read, int8_weights(factor)));
  return torch::linear(read, int8_weights(weight), bias);
}

Tensor Backbone::norm(const Tensor& x, const Tensor& weight, const Tensor& bias) const {
  return torch::layer_norm(x, {spec_.hidden}, weight, bias, spec_.layer_norm_eps);
}

Tensor Backbone::keep_mask(const Tensor& like) const {
  if (dropout_ <= 0 || !is_training()) return {};
  const double keep = 1.0 - dropout_;
  return torch::empty(like.sizes()).bernoulli_(keep, generator_).div_(keep);
}

Tensor Backbone::drop(const Tensor& x) const {
  const auto keep = keep_mask(x);
  return keep.defined() ? x * keep : x;
}

// [B, rows*columns, 3*patch*patch], elements in the order of the projection's weight (channel, row, column).
Tensor Backbone::patches(const Tensor& pixels) const {
  const std::int64_t b = pixels.size(0), p = spec_.patch, rows = spec_.grid_rows(), columns = spec_.grid_columns();
  const auto channel = [](const std::array<float, 3>& values) {
    return torch::tensor({values[0], values[1], values[2]}).view({1, 1, 3, 1});
  };
  const auto mean = channel(spec_.pixel_mean), deviation = channel(spec_.pixel_std);
  const auto cut = pixels.view({b, rows, p, columns, p, 3}).permute({0, 1, 3, 5, 2, 4}).contiguous();
  return cut.view({b, rows * columns, 3 * p * p})
      .to(torch::kFloat)
      .mul_(1.0f / 255.0f)
      .view({b, rows * columns, 3, p * p})
      .sub_(mean)
      .div_(deviation)
      .view({b, rows * columns, 3 * p * p});
}

// Rows of the position table as engine/session.cpp counts them.
Tensor Backbone::positions_of(const Tensor& ids) const {
  if (spec_.padding_id < 0) return position_.narrow(0, 0, ids.size(1));
  const Tensor counted = ids.ne(spec_.padding_id);
  if (counted.all().item<bool>()) return position_.narrow(0, 1, ids.size(1));
  return torch::embedding(position_, counted.cumsum(1) * counted);
}

Tensor Backbone::embed(const Encoded& batch) {
  if (spec_.modality == Modality::image) {
    const auto x = torch::linear(patches(batch.pixels), patch_w_.view({spec_.hidden, -1}), patch_b_);
    auto prefix = cls_.view({1, 1, -1});
    if (distill_.defined()) prefix = torch::cat({prefix, distill_.view({1, 1, -1})}, 1);
    return drop(torch::cat({prefix.expand({x.size(0), spec_.prefix_tokens, spec_.hidden}), x}, 1) + position_);
  }
  auto h = int8_weights(torch::embedding(word_, batch.ids));
  if (word_projection_.defined()) h = map(h, {}, word_projection_, {});
  h = h + positions_of(batch.ids);
  if (type_.defined()) h = h + (batch.types.defined() ? torch::embedding(type_, batch.types) : type_[0]);
  if (spec_.norm == NormOrder::post) h = norm(h, embed_norm_w_, embed_norm_b_);
  return drop(h);
}

void Backbone::freeze_embeddings() {
  for (auto& table : {word_, position_, type_, embed_norm_w_, embed_norm_b_})
    if (table.defined() && !(spec_.word_width > 0 && table.is_same(word_))) table.set_requires_grad(false);
}

Tensor Backbone::attention_mask(const Encoded& batch) const { return batch.lengths; }

// [B, 1, T, T]: 0 where token i sees token j, -inf elsewhere. A padding token may see nothing: it sees itself then.
Tensor Backbone::additive_mask(std::int64_t tokens, const Tensor& lengths) const {
  const auto at = torch::arange(tokens);
  auto hidden = (at.unsqueeze(0) >= lengths.unsqueeze(1)).view({-1, 1, 1, tokens}).expand({-1, 1, tokens, tokens});
  if (spec_.attention_window > 0)
    hidden = hidden | ((at.unsqueeze(0) - at.unsqueeze(1)).abs() > spec_.attention_window);
  hidden = hidden & (at.unsqueeze(0) != at.unsqueeze(1));
  return torch::zeros(hidden.sizes()).masked_fill_(hidden, -std::numeric_limits<float>::infinity());
}

Tensor Backbone::softmax_attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& lengths) const {
  const auto scores = torch::matmul(q, k.transpose(2, 3)) / std::sqrt(static_cast<double>(q.size(3)));
  return torch::matmul(torch::softmax(scores + additive_mask(q.size(2), lengths), -1), v);
}

namespace {

Tensor linear_attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& lengths) {
  const auto phi = [](const Tensor& x) { return torch::where(x > 0, x + 1, torch::exp(torch::clamp(x, -30, 0))); };
  const auto here =
      (torch::arange(k.size(2)).unsqueeze(0) < lengths.unsqueeze(1)).to(torch::kFloat).view({-1, 1, k.size(2), 1});
  const auto queries = phi(q), keys = phi(k) * here;
  return torch::matmul(queries, torch::matmul(keys.transpose(2, 3), v)) /
         torch::matmul(queries, keys.sum(2).unsqueeze(3));
}

}  // namespace

Tensor Backbone::attention(const Layer& layer, const Tensor& x, const Tensor& lengths) const {
  const FusedLayer& p = layer.own;
  const auto b = x.size(0), t = x.size(1);
  const std::int64_t heads = spec_.heads, dim = spec_.head_dim();
  const auto qkv = map(x, layer.factors[0], p.qkv_w, p.qkv_b).view({b, t, 3, heads, dim}).permute({2, 0, 3, 1, 4});
  const auto mixed =
      p.linear ? linear_attention(qkv[0], qkv[1], qkv[2], lengths) : softmax_attention(qkv[0], qkv[1], qkv[2], lengths);
  return map(mixed.transpose(1, 2).reshape({b, t, spec_.attention_width()}), layer.factors[1], p.out_w, p.out_b);
}

Tensor Backbone::layer(int l, const Tensor& h, const Tensor& mask) {
  const Layer& layer = layers_[static_cast<std::size_t>(l)];
  const FusedLayer& p = layer.own;
  const bool rounds_between =
      levels_ > 0 && spec_.ranks.any();  // factors: what passes from one to the other is rounded, too
  if (fused_ && !rounds_between) return run_fused_layer(whole(layer), h, mask, keep_mask(h), keep_mask(h));
  const auto feed = [&](const Tensor& x) {
    return drop(map(torch::gelu(map(x, layer.factors[2], p.up_w, p.up_b)), layer.factors[3], p.down_w, p.down_b));
  };
  if (p.pre_norm) {
    const auto x = h + drop(attention(layer, norm(h, p.norm1_w, p.norm1_b), mask));
    return x + feed(norm(x, p.norm2_w, p.norm2_b));
  }
  const auto x = norm(h + drop(attention(layer, h, mask)), p.norm1_w, p.norm1_b);
  return norm(x + feed(x), p.norm2_w, p.norm2_b);
}

Tensor Backbone::queries_keys_values(int l, const Tensor& h) const {
  const Layer& layer = layers_[static_cast<std::size_t>(l)];
  const FusedLayer& p = layer.own;
  const Tensor& factor = layer.factors[0];
  return torch::linear(p.pre_norm ? norm(h, p.norm1_w, p.norm1_b) : h,
                       factor.defined() ? torch::mm(p.qkv_w, factor) : p.qkv_w, p.qkv_b);
}

Tensor Backbone::deepest(const Encoded& batch) {
  const auto mask = attention_mask(batch);
  auto h = embed(batch);
  for (int l = 0; l < spec_.layers; ++l) h = layer(l, h, mask);
  return h;
}

Tensor Backbone::pooled(const Tensor& h, const Encoded& batch) const {
  const auto cls = h.select(1, 0);
  if (spec_.pooling == Pooling::cls) return cls;
  if (spec_.modality == Modality::image) return torch::cat({cls, h.mean(1)}, 1);
  const auto keep = (torch::arange(h.size(1)).unsqueeze(0) < batch.lengths.unsqueeze(1)).to(torch::kFloat).unsqueeze(2);
  const auto mean = (h * keep).sum(1) / batch.lengths.to(torch::kFloat).unsqueeze(1);
  return torch::cat({cls, mean}, 1);
}

std::map<std::string, Tensor> Backbone::named_weights() const {
  std::map<std::string, Tensor> out;
  const std::string e = "embeddings.";
  if (spec_.modality == Modality::text) {
    out[e + "word_embeddings.weight"] = word_;
    if (word_projection_.defined()) out[e + "word_projection.weight"] = word_projection_;
    out[e + "position_embeddings.weight"] = position_;
    if (type_.defined()) out[e + "token_type_embeddings.weight"] = type_;
    if (embed_norm_w_.defined()) {
      out[e + "LayerNorm.weight"] = embed_norm_w_;
      out[e + "LayerNorm.bias"] = embed_norm_b_;
    }
  } else {
    out[e + "patch_embeddings.projection.weight"] = patch_w_;
    out[e + "patch_embeddings.projection.bias"] = patch_b_;
    out[e + "cls_token"] = cls_;
    if (distill_.defined()) out[e + "distillation_token"] = distill_;
    out[e + "position_embeddings"] = position_;
  }
  const bool post = spec_.norm == NormOrder::post;
  for (int i = 0; i < spec_.layers; ++i) {
    const auto& p = layers_[static_cast<std::size_t>(i)].own;
    const std::string n = "encoder.layer." + std::to_string(i) + ".";
    const std::int64_t mixed = spec_.attention_width();
    const std::array<LayerMap, 4> maps = layer_maps(spec_);
    for (std::size_t m = 0; m < maps.size(); ++m)
      if (maps[m].rank > 0) out[factor_name(spec_, i, maps[m])] = layers_[static_cast<std::size_t>(i)].factors[m];
    const char* parts[] = {"query", "key", "value"};
    for (std::int64_t j = 0; j < 3; ++j) {
      const std::string self = n + "attention.self." + parts[j];
      out[self + ".weight"] = p.qkv_w.detach().narrow(0, j * mixed, mixed);
      out[self + ".bias"] = p.qkv_b.detach().narrow(0, j * mixed, mixed);
    }
    const auto put = [&](const std::string& name, const Tensor& weight, const Tensor& bias) {
      out[n + name + ".weight"] = weight;
      out[n + name + ".bias"] = bias;
    };
    put("attention.output.dense", p.out_w, p.out_b);
    put("intermediate.dense", p.up_w, p.up_b);
    put("output.dense", p.down_w, p.down_b);
    put(post ? "attention.output.LayerNorm" : "layernorm_before", p.norm1_w, p.norm1_b);
    put(post ? "output.LayerNorm" : "layernorm_after", p.norm2_w, p.norm2_b);
  }
  for (auto& [name, tensor] : out) tensor = tensor.detach();
  return out;
}

Heads::Heads(const ModelSpec& spec) : spec_(spec) {
  const std::int64_t p = spec.pooled(), c = spec.classes();
  const auto linear = [&](const std::string& name, std::int64_t out, std::int64_t in) {
    const double bound = 1.0 / std::sqrt(static_cast<double>(in));
    return register_parameter(name, torch::empty({out, in}).uniform_(-bound, bound));
  };
  const int own = spec.task_head == TaskHead::exit ? spec.layers : spec.layers - 1;
  for (int e = 1; e <= own; ++e) {
    const std::string n = "exit" + std::to_string(e) + "_";
    const std::int64_t width = spec.head_hidden(e);
    Head head;
    head.norm_w = register_parameter(n + "norm_w", torch::ones({p}));
    head.norm_b = register_parameter(n + "norm_b", torch::zeros({p}));
    if (width > 0) {
      head.dense_w = linear(n + "dense_w", width, p);
      head.dense_b = register_parameter(n + "dense_b", torch::zeros({width}));
    }
    head.out_w = linear(n + "out_w", c, width > 0 ? width : p);
    head.out_b = register_parameter(n + "out_b", torch::zeros({c}));
    heads_.push_back(head);
  }
}

Tensor Heads::logits(int exit, const Tensor& pooled) const {
  const auto& head = heads_[static_cast<std::size_t>(exit - 1)];
  auto x = torch::layer_norm(pooled, {spec_.pooled()}, head.norm_w, head.norm_b, spec_.layer_norm_eps);
  if (head.dense_w.defined()) x = torch::gelu(torch::linear(x, head.dense_w, head.dense_b));
  return torch::linear(x, head.out_w, head.out_b);
}

std::vector<Tensor> Heads::exit_parameters(int exit) const {
  const auto& head = heads_[static_cast<std::size_t>(exit - 1)];
  std::vector<Tensor> out = {head.norm_w, head.norm_b};
  if (head.dense_w.defined()) {
    out.push_back(head.dense_w);
    out.push_back(head.dense_b);
  }
  out.push_back(head.out_w);
  out.push_back(head.out_b);
  return out;
}

std::map<std::string, Tensor> Heads::named_weights() const {
  std::map<std::string, Tensor> out;
  for (int e = 1; e <= static_cast<int>(heads_.size()); ++e) {
    const auto& head = heads_[static_cast<std::size_t>(e - 1)];
    const std::string n = "exits." + std::to_string(e) + ".";
    out[n + "norm.weight"] = head.norm_w.detach();
    out[n + "norm.bias"] = head.norm_b.detach();
    if (head.dense_w.defined()) {
      out[n + "dense.weight"] = head.dense_w.detach();
      out[n + "dense.bias"] = head.dense_b.detach();
    }
    out[n + "out.weight"] = head.out_w.detach();
    out[n + "out.bias"] = head.out_b.detach();
  }
  return out;
}

Tensor evaluate_last(Backbone& backbone, const Encoded& data, std::int64_t width,
                     const std::function<Tensor(const Encoded& part, const Tensor& h)>& head) {
  torch::NoGradGuard no_grad;
  const bool training = backbone.is_training();
  backbone.eval();
  auto out = torch::empty({data.size(), width});
  const std::int64_t rows = rows_at_once(backbone.spec());
  for (std::int64_t begin = 0; begin < data.size(); begin += rows) {
    const auto part = data.slice(begin, std::min(data.size(), begin + rows));
    out.narrow(0, begin, part.size()).copy_(head(part, backbone.deepest(part)));
  }
  backbone.train(training);
  return out;
}

double accuracy_of(const Tensor& logits, const Tensor& labels) {
  return labels.size(0) == 0 ? 0 : logits.argmax(1).eq(labels).to(torch::kDouble).mean().item<double>();
}

Tensor all_logits(Backbone& backbone, const Heads& heads, const Encoded& data, std::int64_t batch) {
  torch::NoGradGuard no_grad;
  const bool training = backbone.is_training();
  backbone.eval();
  const auto& spec = backbone.spec();
  batch = std::min(batch, rows_at_once(spec));
  auto out = torch::empty({data.size(), spec.layers, spec.classes()});
  for (std::int64_t begin = 0; begin < data.size(); begin += batch) {
    const auto end = std::min(data.size(), begin + batch);
    const auto part = data.slice(begin, end);
    const auto mask = backbone.attention_mask(part);
    auto h = backbone.embed(part);
    for (int l = 0; l < spec.layers; ++l) {
      h = backbone.layer(l, h, mask);
      out.narrow(0, begin, end - begin).select(1, l).copy_(heads.logits(l + 1, backbone.pooled(h, part)));
    }
  }
  backbone.train(training);
  return out;
}

}  // namespace fathom::train
