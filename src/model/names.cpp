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
  list.add(in + "word_embeddings.weight", {spec.vocab, spec.word_width > 0 ? spec.word_width : spec.hidden});
  if (spec.word_width > 0) list.add(in + "word_projection.weight", {spec.hidden, spec.word_width});
  list.add(in + "position_embeddings.weight", {spec.position_rows(), spec.hidden});
  if (spec.token_types > 0) list.add(in + "token_type_embeddings.weight", {spec.token_types, spec.hidden});
  if (spec.norm == NormOrder::post) list.norm(in + "LayerNorm", spec.hidden);
}

void add_layer(List& list, const ModelSpec& spec, int layer) {
  const std::string in = "encoder.layer." + std::to_string(layer) + ".";
  const bool post = spec.norm == NormOrder::post;
  const std::array<LayerMap, 4> maps = layer_maps(spec);
  const auto add_map = [&](const LayerMap& map) {
    if (map.rank > 0 && !spec.ranks.shared) list.add(factor_name(spec, layer, map), {map.rank, map.in});
    for (const std::string& part : map.parts) list.linear(in + part, map.out, map.reads());
  };
  if (!post) list.norm(in + "layernorm_before", spec.hidden);
  add_map(maps[0]);
  add_map(maps[1]);
  list.norm(in + (post ? "attention.output.LayerNorm" : "layernorm_after"), spec.hidden);
  add_map(maps[2]);
  add_map(maps[3]);
  if (post) list.norm(in + "output.LayerNorm", spec.hidden);
}

void add_head(List& list, const ModelSpec& spec, int exit) {
  const std::string in = "exits." + std::to_string(exit) + ".";
  const HeadShape head = spec.head_shape(exit);
  if (head.norm > 0) list.norm(in + "norm", head.norm);
  if (head.dense > 0) list.linear(in + "dense", head.dense, head.input);
  list.linear(in + "out", spec.classes(), head.out_input());
}

}  // namespace

std::array<LayerMap, 4> layer_maps(const ModelSpec& spec) {
  const int hidden = spec.hidden, mixed = spec.attention_width(), ffn = spec.ffn;
  const MapRanks& r = spec.ranks;
  return {
      {{"attention.self", {"attention.self.query", "attention.self.key", "attention.self.value"}, hidden, mixed, r.qkv},
       {"attention.output", {"attention.output.dense"}, mixed, hidden, r.o},
       {"intermediate", {"intermediate.dense"}, hidden, ffn, r.f1},
       {"output", {"output.dense"}, ffn, hidden, r.f2}}};
}

std::string factor_name(const ModelSpec& spec, int layer, const LayerMap& map) {
  return "encoder." + (spec.ranks.shared ? "" : "layer." + std::to_string(layer) + ".") + map.name + ".factor.weight";
}

std::vector<TensorSpec> backbone_tensors(const ModelSpec& spec) {
  List list;
  add_embeddings(list, spec);
  if (spec.ranks.shared)
    for (const LayerMap& map : layer_maps(spec))
      if (map.rank > 0) list.add(factor_name(spec, 0, map), {map.rank, map.in});
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
