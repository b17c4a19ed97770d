#include "model/names.h"

namespace fathom {
namespace {

using Shape = std::vector<std::int64_t>;

class List {
 public:
  void add(std::string name, Shape shape) { items_.push_back({std::move(name), std::move(shape)}); }
  void linear(const std::string& name, std::int64_t out, std::int64_t in) { weighted(name, {out, in}); }
  void norm(const std::string& name, std::int64_t width) { weighted(name, {width}); }
  void weighted(const std::string& name, const Shape& weight) {  // the bias has one element per output
    add(name + ".weight", weight);
    add(name + ".bias", {weight.front()});
  }
  std::vector<TensorSpec> take() { return std::move(items_); }

 private:
  std::vector<TensorSpec> items_;
};

void add_embeddings(List& list, const ModelSpec& spec) {
  const std::string in = "embeddings.";
  if (spec.modality == Modality::image) {
    list.weighted(in + "patch_embeddings.projection", {spec.hidden, 3, spec.patch, spec.patch});
    list.add(in + "cls_token", {spec.hidden});
    if (spec.prefix_tokens == 2) list.add(in + "distillation_token", {spec.hidden});
    list.add(in + "position_embeddings", {spec.tokens(), spec.hidden});
    return;
  }
  list.add(in + "word_embeddings.weight", {spec.vocab, spec.hidden});
  list.add(in + "position_embeddings.weight", {spec.max_tokens, spec.hidden});
  if (spec.token_types > 0) list.add(in + "token_type_embeddings.weight", {spec.token_types, spec.hidden});
  if (spec.norm == NormOrder::post) list.norm(in + "LayerNorm", spec.hidden);
}

void add_layer(List& list, const ModelSpec& spec, int layer) {
  const std::string in = "encoder.layer." + std::to_string(layer) + ".";
  const bool post = spec.norm == NormOrder::post;
  if (!post) list.norm(in + "layernorm_before", spec.hidden);
  for (const char* part : {"query", "key", "value"}) list.linear(in + "attention.self." + part, spec.attention_width(), spec.hidden);
  list.linear(in + "attention.output.dense", spec.hidden, spec.attention_width());
  list.norm(in + (post ? "attention.output.LayerNorm" : "layernorm_after"), spec.hidden);
  list.linear(in + "intermediate.dense", spec.ffn, spec.hidden);
  list.linear(in + "output.dense", spec.hidden, spec.ffn);
  if (post) list.norm(in + "output.LayerNorm", spec.hidden);
}

void add_head(List& list, const ModelSpec& spec, int exit) {
  const std::string in = "exits." + std::to_string(exit) + ".";
  const HeadShape head = spec.head_shape(exit);
  if (head.norm > 0) list.norm(in + "norm", head.norm);
  if (head.dense > 0) list.linear(in + "dense", head.dense, head.input);
  if (!spec.heads_shared) list.linear(in + "out", spec.classes(), head.out_input());
}

}  // namespace

std::vector<TensorSpec> backbone_tensors(const ModelSpec& spec) {
  List list;
  add_embeddings(list, spec);
  for (int layer = 0; layer < spec.layers; ++layer) add_layer(list, spec, layer);
  return list.take();
}

std::vector<TensorSpec> task_head_tensors(const ModelSpec& spec) {
  List list;
  if (spec.task_head != TaskHead::exit) add_head(list, spec, spec.layers);
  return list.take();
}

std::vector<TensorSpec> decision_tensors(const ModelSpec& spec) {
  List list;
  const int own = spec.task_head == TaskHead::exit ? spec.layers : spec.layers - 1;
  for (int exit = 1; exit <= own; ++exit) add_head(list, spec, exit);
  if (spec.heads_shared) list.linear("exits.out", spec.classes(), spec.pooled());
  const ExtractorSpec& extractor = spec.extractor;
  const int kh = spec.grid_rows() == 1 ? 1 : 3;
  list.linear("extractor.proj", extractor.embed, spec.hidden);
  list.weighted("extractor.conv1", {extractor.c1, extractor.embed, kh, 3});
  list.weighted("extractor.conv2", {extractor.c2, extractor.c1, kh, 3});
  const int width = spec.policy_hidden;
  list.linear("policy.init", width, 2 * extractor.c2 + 1);
  list.add("policy.lstm.weight_ih", {4 * width, kPolicyInputs});
  list.add("policy.lstm.weight_hh", {4 * width, width});
  list.add("policy.lstm.bias", {4 * width});
  list.linear("policy.out", 2, width);
  return list.take();
}

}  // namespace fathom
