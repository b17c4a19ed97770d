#include "model/naming.h"

#include <array>
#include <map>

#include "base/check.h"

namespace fathom {
namespace {

constexpr const char* kFamilies[] = {"fathom", "bert", "roberta", "distilbert", "vit", "timm"};

// Rest of `text` behind `start`; false if it does not start so.
bool strip(std::string_view& text, std::string_view start) {
  if (!text.starts_with(start)) return false;
  text.remove_prefix(start.size());
  return true;
}

struct Part {  // "encoder.layer.3.attention.self.query.weight" -> layer "3", part "attention.self.query", kind
               // ".weight"
  std::string layer, part, kind;
};

Part split(std::string_view name) {
  Part out;
  const std::size_t dot = name.rfind('.');
  out.kind = name.substr(dot);
  name = name.substr(0, dot);
  if (strip(name, "encoder.layer.")) {
    const std::size_t end = name.find('.');
    out.layer = name.substr(0, end);
    name = name.substr(end + 1);
  }
  out.part = name;
  return out;
}

using Table = std::map<std::string_view, std::string_view>;

std::string_view renamed(const Table& table, const std::string& part) {
  const auto found = table.find(part);
  return found == table.end() ? std::string_view(part) : found->second;
}

// Our parts of a layer that a family calls otherwise.
const Table& layer_table(Family family) {
  static const Table same;
  static const Table distilbert = {{"attention.self.query", "attention.q_lin"},
                                   {"attention.self.key", "attention.k_lin"},
                                   {"attention.self.value", "attention.v_lin"},
                                   {"attention.output.dense", "attention.out_lin"},
                                   {"attention.output.LayerNorm", "sa_layer_norm"},
                                   {"intermediate.dense", "ffn.lin1"},
                                   {"output.dense", "ffn.lin2"},
                                   {"output.LayerNorm", "output_layer_norm"}};
  static const Table vit = {{"attention.self.query", "attention.attention.query"},
                            {"attention.self.key", "attention.attention.key"},
                            {"attention.self.value", "attention.attention.value"}};
  static const Table timm = {{"attention.self.query", "attn.qkv"}, {"attention.self.key", "attn.qkv"},
                             {"attention.self.value", "attn.qkv"}, {"attention.output.dense", "attn.proj"},
                             {"layernorm_before", "norm1"},        {"layernorm_after", "norm2"},
                             {"intermediate.dense", "mlp.fc1"},    {"output.dense", "mlp.fc2"}};
  return family == Family::distilbert ? distilbert : family == Family::vit ? vit : family == Family::timm ? timm : same;
}

const char* layers_of(Family family) {
  return family == Family::distilbert ? "transformer.layer." : family == Family::timm ? "blocks." : "encoder.layer.";
}

TensorSource layer_source(const Naming& naming, const Part& part, const TensorSpec& wanted) {
  const std::string_view stored = renamed(layer_table(naming.family), part.part);
  TensorSource out{naming.prefix + layers_of(naming.family) + part.layer + "." + std::string(stored) + part.kind,
                   wanted.shape};
  if (stored != "attn.qkv") return out;
  out.shape[0] = 3 * wanted.shape[0];  // q, k and v one below the other
  const int third = part.part.ends_with("query") ? 0 : part.part.ends_with("key") ? 1 : 2;
  out.offset = third * wanted.shape[0] * (wanted.shape.size() == 2 ? wanted.shape[1] : 1);
  return out;
}

TensorSource embedding_source(const ModelSpec& spec, const Naming& naming, const TensorSpec& wanted) {
  TensorSource out{naming.prefix + wanted.name, wanted.shape};
  if (wanted.name == "embeddings.position_embeddings.weight") {
    out.shape[0] = naming.positions;
    out.offset = std::int64_t{naming.first_position} * spec.hidden;
  }
  const bool vision = naming.family == Family::vit || naming.family == Family::timm;
  if (!vision) return out;
  const bool token = wanted.name.ends_with("_token"), position = wanted.name.ends_with("position_embeddings");
  if (token) out.shape = {1, 1, spec.hidden};
  if (position) out.shape = {1, spec.tokens(), spec.hidden};
  if (naming.family == Family::vit) return out;
  static const Table timm = {{"embeddings.cls_token", "cls_token"},
                             {"embeddings.distillation_token", "dist_token"},
                             {"embeddings.position_embeddings", "pos_embed"},
                             {"embeddings.patch_embeddings.projection.weight", "patch_embed.proj.weight"},
                             {"embeddings.patch_embeddings.projection.bias", "patch_embed.proj.bias"}};
  out.name = renamed(timm, wanted.name);
  return out;
}

// exits.L.{norm,dense,out}.*
std::vector<TensorSource> head_sources(const ModelSpec& spec, const Naming& naming, const Part& part,
                                       const TensorSpec& wanted) {
  const Family family = naming.family;
  const std::string which = part.part.substr(part.part.rfind('.') + 1);
  std::vector<std::string> names;
  if (which == "norm") names = {family == Family::timm ? "norm" : naming.prefix + "layernorm"};
  if (which == "dense")
    names = {family == Family::roberta      ? "classifier.dense"
             : family == Family::distilbert ? "pre_classifier"
                                            : naming.prefix + "pooler.dense"};
  if (which == "out") {
    names = {family == Family::roberta ? "classifier.out_proj" : family == Family::timm ? "head" : "classifier"};
    if (spec.task_head == TaskHead::norm_distilled)
      names = family == Family::timm ? std::vector<std::string>{"head", "head_dist"}
                                     : std::vector<std::string>{"cls_classifier", "distillation_classifier"};
  }
  FATHOM_CHECK(!names.empty(), "a head has norm, dense and out");
  std::vector<TensorSource> out;
  for (const std::string& name : names) out.push_back({name + part.kind, wanted.shape});
  if (names.size() == 2 && wanted.shape.size() == 2)
    for (TensorSource& source : out) source.shape[1] /= 2;
  return out;
}

}  // namespace

Json naming_to_json(const Naming& naming) {
  return {{"family", kFamilies[static_cast<std::size_t>(naming.family)]},
          {"prefix", naming.prefix},
          {"first_position", naming.first_position},
          {"positions", naming.positions}};
}

Result<Naming> naming_from_json(const Json& json, const std::string& where) {
  Naming out;
  FATHOM_TRY(const std::string family, json_string(json, "family", where));
  FATHOM_TRY(out.prefix, json_string(json, "prefix", where));
  FATHOM_TRY(const std::int64_t first, json_int(json, "first_position", 0, 1024, where));
  out.first_position = static_cast<int>(first);
  FATHOM_TRY(const std::int64_t positions, json_int(json, "positions", 0, 1 << 20, where));
  out.positions = static_cast<int>(positions);
  for (std::size_t i = 0; i < std::size(kFamilies); ++i)
    if (family == kFamilies[i]) return out.family = static_cast<Family>(i), out;
  return Error{Code::corrupt_bundle,
               where + ": 'family' is \"" + family.substr(0, 40) + "\", which this version does not know",
               "use a newer version of Fathom"};
}

std::vector<TensorSource> sources_of(const ModelSpec& spec, const Naming& naming, const TensorSpec& wanted) {
  if (naming.family == Family::fathom) return {{wanted.name, wanted.shape}};
  const Part part = split(wanted.name);
  if (!part.layer.empty()) return {layer_source(naming, part, wanted)};
  if (part.part.starts_with("exits.")) return head_sources(spec, naming, part, wanted);
  return {embedding_source(spec, naming, wanted)};
}

}  // namespace fathom
