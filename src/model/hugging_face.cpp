#include "model/hugging_face.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace fathom {
namespace {

constexpr std::int64_t kMost = 1 << 24;  // above any width or count; validate() knows the real limits

class Reader {
 public:
  Reader(const Json& config, const SafeTensors& tensors, const std::string& where,
         const std::vector<std::string>& classes)
      : config_(config), tensors_(tensors), where_(where), classes_(classes) {}

  Result<Checkpoint> read();

 private:
  bool has(const char* key) const { return config_.contains(key) && !config_[key].is_null(); }
  std::string text(const char* key, const char* otherwise) const {
    return has(key) && config_[key].is_string() ? config_[key].get<std::string>() : otherwise;
  }
  Result<int> number(const char* key) const {
    FATHOM_TRY(const std::int64_t value, json_int(config_, key, 0, kMost, where_));
    return static_cast<int>(value);
  }
  Result<int> number(const char* key, int otherwise) const { return has(key) ? number(key) : Result<int>(otherwise); }
  Error refuse(const std::string& what, const std::string& nearest) const {
    return {Code::unsupported, where_ + ": " + what, nearest};
  }
  // A key whose value would change the arithmetic: absent, null or one of `values`.
  Status only(const char* key, const std::vector<Json>& values, const std::string& nearest) const {
    if (!has(key) || std::find(values.begin(), values.end(), config_[key]) != values.end()) return {};
    return refuse(std::string("'") + key + "' is " + config_[key].dump().substr(0, 60) + ", which is not computed here",
                  nearest);
  }
  bool there(const std::string& name) const { return tensors_.peek(name) != nullptr; }

  Status sizes(const char* layers, const char* hidden, const char* heads, const char* ffn);  // by the family's keys
  Status text_family(const std::string& type);
  Status bert_like(const std::string& type);
  Status distilbert();
  Status image_family(const std::string& type);
  Status timm();
  Status labels();
  Status picture_size(std::int64_t height, std::int64_t width);
  Status find_prefix(const std::string& usual, const std::string& proof);
  int count_layers(const std::string& start) const;

  const Json& config_;
  const SafeTensors& tensors_;
  const std::string& where_;
  const std::vector<std::string>& classes_;
  Checkpoint out_;
};

// The backbone's tensors stand under `usual` in a classifier's file, under nothing in a bare encoder's.
Status Reader::find_prefix(const std::string& usual, const std::string& proof) {
  for (const std::string& prefix : {usual, std::string()}) {
    if (!there(prefix + proof)) continue;
    out_.naming.prefix = prefix;
    return {};
  }
  return Error{Code::bad_input, where_ + ": the weights hold neither '" + usual + proof + "' nor '" + proof + "'",
               "config.json and the weights do not belong together"};
}

Status Reader::labels() {
  const Json ids = has("id2label") && config_["id2label"].is_object() ? config_["id2label"] : Json::object();
  const std::size_t count = ids.size();
  std::vector<std::string>& names = out_.spec.label_names;
  for (std::size_t i = 0; i < count; ++i) {
    const auto found = ids.find(std::to_string(i));
    if (found == ids.end() || !found->is_string())
      return Error{
          Code::bad_input,
          where_ + ": 'id2label' has " + std::to_string(count) + " entries but none for class " + std::to_string(i),
          ""};
    names.push_back(found->get<std::string>());
  }
  return only("problem_type", {"single_label_classification"},
              "only one label an input: fine-tune it as a single-label classifier");
}

Status Reader::sizes(const char* layers, const char* hidden, const char* heads, const char* ffn) {
  FATHOM_TRY(out_.spec.layers, number(layers));
  FATHOM_TRY(out_.spec.hidden, number(hidden));
  FATHOM_TRY(out_.spec.heads, number(heads));
  FATHOM_TRY(out_.spec.ffn, number(ffn));
  return {};
}

Status Reader::bert_like(const std::string& type) {
  const bool roberta = type == "roberta";
  ModelSpec& spec = out_.spec;
  out_.family = roberta ? "RoBERTa" : "BERT";
  out_.naming.family = roberta ? Family::roberta : Family::bert;
  FATHOM_TRY_VOID(find_prefix(type + ".", "embeddings.word_embeddings.weight"));
  FATHOM_TRY_VOID(sizes("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size"));
  FATHOM_TRY(spec.token_types, number("type_vocab_size", 2));
  FATHOM_TRY_VOID(only("hidden_act", {"gelu"}, "supported: \"gelu\" (the erf form)"));
  FATHOM_TRY_VOID(only("position_embedding_type", {"absolute"}, "supported: absolute positions"));
  FATHOM_TRY_VOID(only("is_decoder", {false}, "supported: encoders"));
  FATHOM_TRY_VOID(only("add_cross_attention", {false}, "supported: encoders"));
  FATHOM_TRY_VOID(only("embedding_size", {spec.hidden}, "supported: word embeddings as wide as the layers"));
  if (roberta) {
    FATHOM_TRY(const int pad, number("pad_token_id", 1));
    out_.naming.first_position = pad + 1;
    spec.max_tokens -= out_.naming.first_position;
  }
  spec.task_head = TaskHead::pooler_tanh;
  spec.task_head_hidden = spec.hidden;
  return {};
}

Status Reader::distilbert() {
  ModelSpec& spec = out_.spec;
  out_.family = "DistilBERT";
  out_.naming.family = Family::distilbert;
  FATHOM_TRY_VOID(find_prefix("distilbert.", "embeddings.word_embeddings.weight"));
  FATHOM_TRY_VOID(sizes("n_layers", "dim", "n_heads", "hidden_dim"));
  FATHOM_TRY_VOID(only("activation", {"gelu"}, "supported: \"gelu\" (the erf form)"));
  spec.token_types = 0;
  spec.task_head = TaskHead::pooler_relu;
  spec.task_head_hidden = spec.hidden;
  return {};
}

Status Reader::text_family(const std::string& type) {
  ModelSpec& spec = out_.spec;
  spec.modality = Modality::text;
  spec.norm = NormOrder::post;
  FATHOM_TRY(spec.vocab, number("vocab_size"));
  FATHOM_TRY(spec.max_tokens, number("max_position_embeddings"));
  out_.naming.positions = spec.max_tokens;
  FATHOM_TRY_VOID(type == "distilbert" ? distilbert() : bert_like(type));
  spec.layer_norm_eps = 1e-12f;
  return {};
}

Status Reader::picture_size(std::int64_t height, std::int64_t width) {
  out_.spec.image_height = static_cast<int>(height);
  out_.spec.image_width = static_cast<int>(width);
  if (out_.spec.patch > 0 && height % out_.spec.patch == 0 && width % out_.spec.patch == 0) return {};
  return refuse("pictures of " + std::to_string(height) + " x " + std::to_string(width) + " are not whole patches of " +
                    std::to_string(out_.spec.patch),
                "supported: sides that the patch divides");
}

Status Reader::image_family(const std::string& type) {
  ModelSpec& spec = out_.spec;
  const bool deit = type == "deit";
  out_.family = deit ? "DeiT" : "ViT";
  out_.naming.family = Family::vit;
  FATHOM_TRY_VOID(find_prefix(type + ".", "embeddings.cls_token"));
  FATHOM_TRY_VOID(sizes("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size"));
  FATHOM_TRY(spec.patch, number("patch_size"));
  FATHOM_TRY(const int side, number("image_size"));
  FATHOM_TRY_VOID(picture_size(side, side));
  FATHOM_TRY_VOID(only("hidden_act", {"gelu"}, "supported: \"gelu\" (the erf form)"));
  FATHOM_TRY_VOID(only("num_channels", {3}, "supported: RGB pictures"));
  FATHOM_TRY_VOID(only("qkv_bias", {true}, "supported: q, k, v with biases"));
  FATHOM_TRY_VOID(only("use_mask_token", {false}, "supported: classifiers"));
  spec.prefix_tokens = deit ? 2 : 1;
  const bool teacher = deit && there("distillation_classifier.weight");
  if (teacher) out_.family = "DeiT with a teacher";
  spec.task_head = teacher ? TaskHead::norm_distilled : TaskHead::norm_cls;
  return {};
}

// Layers start.0. to start.n-1., told by the names.
int Reader::count_layers(const std::string& start) const {
  int count = 0;
  while (count <= 64 && tensors_.all().lower_bound(start + std::to_string(count) + ".") != tensors_.all().end() &&
         tensors_.all()
             .lower_bound(start + std::to_string(count) + ".")
             ->first.starts_with(start + std::to_string(count) + "."))
    ++count;
  return count;
}

// timm's config.json tells the architecture's name; sizes are those of the tensors.
Status Reader::timm() {
  ModelSpec& spec = out_.spec;
  const std::string architecture = text("architecture", "");
  const bool deit = architecture.starts_with("deit_");
  if (!deit && !architecture.starts_with("vit_"))
    return refuse("architecture '" + architecture.substr(0, 60) + "' of timm",
                  "supported: vit_* and deit_* (plain and distilled)");
  out_.family = deit ? "DeiT (timm)" : "ViT (timm)";
  out_.naming.family = Family::timm;
  const TensorView* patch = tensors_.peek("patch_embed.proj.weight");
  const TensorView* inner = tensors_.peek("blocks.0.mlp.fc1.weight");
  const TensorView* positions = tensors_.peek("pos_embed");
  if (patch == nullptr || patch->shape.size() != 4 || inner == nullptr || inner->shape.size() != 2 ||
      positions == nullptr || positions->shape.size() != 3)
    return refuse(
        "the weights have no 'patch_embed.proj.weight', 'blocks.0.mlp.fc1.weight' and 'pos_embed' of a plain ViT",
        "supported: vit_* and deit_* (plain and distilled)");
  for (const char* other : {"norm_pre.weight", "fc_norm.weight", "reg_token", "blocks.0.ls1.gamma",
                            "blocks.0.attn.q_norm.weight", "attn_pool.q.weight"})
    if (there(other))
      return refuse(std::string("tensor '") + other + "': a variant of ViT that is not computed here",
                    "supported: CLS pooling, no registers, no layer scale");
  if (!there("cls_token")) return refuse("no 'cls_token': this ViT pools otherwise", "supported: global_pool 'token'");
  FATHOM_TRY_VOID(only("global_pool", {"token", ""}, "supported: global_pool \"token\""));
  if (patch->shape[0] > kMost || inner->shape[0] > kMost || patch->shape[2] != patch->shape[3] ||
      patch->shape[2] > 4096 || patch->shape[1] != 3)
    return refuse("patches " + shape_text(patch->shape), "supported: square patches of RGB pictures");
  spec.hidden = static_cast<int>(patch->shape[0]);
  spec.patch = static_cast<int>(patch->shape[2]);
  spec.ffn = static_cast<int>(inner->shape[0]);
  spec.layers = count_layers("blocks.");
  const bool huge = architecture.find("_huge_") != std::string::npos;
  const Json arguments =
      has("model_args") && config_["model_args"].is_object() ? config_["model_args"] : Json::object();
  spec.heads = std::max(1, spec.hidden / (huge ? 80 : 64));
  if (arguments.contains("num_heads")) {
    FATHOM_TRY(const std::int64_t heads, json_int(arguments, "num_heads", 1, 1024, where_));
    spec.heads = static_cast<int>(heads);
  }
  spec.prefix_tokens = there("dist_token") ? 2 : 1;
  spec.task_head = there("head_dist.weight") ? TaskHead::norm_distilled : TaskHead::norm_cls;
  const auto patches = static_cast<double>(positions->shape[1] - spec.prefix_tokens);
  const int side = static_cast<int>(std::max(1.0, std::round(std::sqrt(patches)))) * spec.patch;
  FATHOM_TRY_VOID(picture_size(side, side));
  spec.layer_norm_eps = 1e-6f;
  const TensorView* head = tensors_.peek("head.weight");
  if (head != nullptr && !head->shape.empty() && head->shape[0] <= 1'000'000) {
    const Json names = has("label_names") && config_["label_names"].is_array() ? config_["label_names"] : Json::array();
    for (std::int64_t i = 0; i < head->shape[0]; ++i) {
      const bool named =
          static_cast<std::int64_t>(names.size()) == head->shape[0] && names[static_cast<std::size_t>(i)].is_string();
      spec.label_names.push_back(named ? names[static_cast<std::size_t>(i)].get<std::string>()
                                       : "class_" + std::to_string(i));
    }
  }
  return {};
}

Result<Checkpoint> Reader::read() {
  if (!config_.is_object())
    return Error{Code::bad_input, where_ + ": must hold a JSON object", "give the folder of a Hugging Face model"};
  const std::string type = text("model_type", "");
  ModelSpec& spec = out_.spec;
  const bool textual = type == "bert" || type == "roberta" || type == "distilbert",
             visual = type == "vit" || type == "deit";
  const bool from_timm = type.empty() && has("architecture");
  if (!textual && !visual && !from_timm)
    return refuse("'model_type' is \"" + type.substr(0, 60) + "\"",
                  "supported: bert (MiniLM too), roberta, distilbert, vit, deit, and timm's vit_* and deit_*");
  if (!textual) {
    spec.modality = Modality::image;
    spec.norm = NormOrder::pre;
  }
  FATHOM_TRY_VOID(textual ? text_family(type) : visual ? image_family(type) : timm());
  if (!from_timm) {
    if (has("layer_norm_eps") && type != "distilbert") {
      FATHOM_TRY(const double eps, json_number(config_, "layer_norm_eps", 1e-20, 0.1, where_));
      spec.layer_norm_eps = static_cast<float>(eps);
    }
    FATHOM_TRY_VOID(labels());
  }
  spec.pooling = Pooling::cls_mean;
  if (spec.hidden < 1 || spec.heads < 1)
    return refuse("'hidden_size' " + std::to_string(spec.hidden) + " and " + std::to_string(spec.heads) + " heads", "");
  size_decision(spec);
  std::vector<TensorSpec> head = task_head_tensors(spec);
  const bool headless = std::none_of(head.begin(), head.end(), [&](const TensorSpec& t) {
    const auto from = sources_of(spec, out_.naming, t);
    return t.name.ends_with("out.weight") && there(from[0].name);
  });
  out_.has_classifier = !headless;
  if (headless && classes_.empty())
    return Error{Code::unsupported, where_ + ": the weights have no classifier: this is an encoder before fine-tuning",
                 "fine-tune it: fathom fit --from FOLDER --data LABELLED"};
  if (headless && from_timm && spec.prefix_tokens == 2)
    return refuse("a distilled DeiT of timm without its two heads", "fine-tune the plain deit_*");
  if (headless) {
    spec.label_names = classes_;
    head = task_head_tensors(spec);
  }
  FATHOM_TRY_VOID(validate(spec, where_));
  std::set<std::string> used;
  for (const auto& wanted : {backbone_tensors(spec), head})
    for (const TensorSpec& t : wanted)
      for (const TensorSource& source : sources_of(spec, out_.naming, t)) used.insert(source.name);
  for (const auto& [name, view] : tensors_.all())
    if (!used.contains(name) && !name.ends_with(".gamma") && !name.ends_with(".beta"))
      out_.notes.push_back("'" + name.substr(0, 80) + "' is not used");
  return std::move(out_);
}

}  // namespace

Result<Checkpoint> read_checkpoint(const Json& config, const SafeTensors& tensors, const std::string& where,
                                   const std::vector<std::string>& classes) {
  return Reader(config, tensors, where, classes).read();
}

}  // namespace fathom
