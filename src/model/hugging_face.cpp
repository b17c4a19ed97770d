#include "model/hugging_face.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "model/config_keys.h"

namespace fathom {
namespace {

// Endings of transformers' classes whose heads answer something else than one label an input.
constexpr std::pair<const char*, const char*> kOtherHeads[] = {
    {"ForTokenClassification", "labels every token"},
    {"ForQuestionAnswering", "marks an answer in a text"},
    {"ForMultipleChoice", "compares several choices"},
    {"ForNextSentencePrediction", "says whether a text follows another"},
    {"ForCausalLM", "continues a text"},
    {"LMHeadModel", "continues a text"},
    {"ForMaskedImageModeling", "fills gaps in a picture"},
    {"ForSemanticSegmentation", "labels every place of a picture"},
    {"ForObjectDetection", "finds things in a picture"},
};

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
  Status default_labels();
  Status problem() const;
  Status architecture();
  Status whole_weights() const;
  std::string guessed_type() const;
  Error no_classifier() const;
  Status check_classes() const;
  std::string head_tensors() const;
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
  const std::string missing = where_ + ": the weights hold neither '" + usual + proof + "' nor '" + proof + "'";
  for (const auto& [name, view] : tensors_.all()) {
    if (!name.ends_with("." + proof)) continue;
    std::string front = name.substr(0, name.size() - proof.size());
    if (front.ends_with(usual)) front.resize(front.size() - usual.size());
    return Error{Code::unsupported,
                 missing + ", but '" + name.substr(0, 120) + "': every name begins with '" + front.substr(0, 60) +
                     "', a wrapper around the model",
                 "save the model inside it: model.module or model._orig_mod, .save_pretrained(folder)"};
  }
  return Error{Code::bad_input, missing, "config.json and the weights do not belong together"};
}

// Weights of an adapter change a model only once they are merged into it.
Status Reader::whole_weights() const {
  for (const auto& [name, view] : tensors_.all())
    if (name.find(".lora_") != std::string::npos || name.find(".base_layer.") != std::string::npos)
      return refuse("tensor '" + name.substr(0, 120) + "' belongs to a LoRA adapter that is not merged",
                    "merge it in Python: model.merge_and_unload().save_pretrained(folder)");
  return {};
}

std::string Reader::guessed_type() const {
  for (const char* type : {"distilbert", "roberta", "bert", "vit", "deit"})
    for (const auto& [name, view] : tensors_.all())
      if (name.starts_with(std::string(type) + ".")) return type;
  return "";
}

// Tensors that look like a head's, for people: those whose first word is none of an encoder's.
std::string Reader::head_tensors() const {
  std::string list;
  for (const auto& [name, view] : tensors_.all()) {
    const std::string first = name.substr(0, name.find('.'));
    const std::set<std::string> usual = {"embeddings",  "encoder",     "pooler",    "bert",      "roberta",
                                         "distilbert",  "vit",         "deit",      "layernorm", "blocks",
                                         "transformer", "cls",         "lm_head",   "norm",      "pos_embed",
                                         "cls_token",   "patch_embed", "dist_token"};
    if (usual.contains(first) || first.starts_with("vocab_") || list.size() > 160) continue;
    list += (list.empty() ? "'" : ", '") + name.substr(0, 60) + "'";
  }
  return list;
}

// The head that config.json names must be one that gives one label an input.
Status Reader::architecture() {
  if (!has("architectures") || !config_["architectures"].is_array()) return {};
  for (const Json& one : config_["architectures"]) {
    if (!one.is_string()) continue;
    const auto name = one.get<std::string>();
    for (const auto& [ending, what] : kOtherHeads)
      if (name.ends_with(ending))
        return refuse(
            "'architectures' is " + name.substr(0, 80) + ": its head " + what + ", which is not computed here",
            "supported: ...ForSequenceClassification and ...ForImageClassification, one label an input");
    const bool ours = name.ends_with("ForSequenceClassification") || name.ends_with("ForImageClassification") ||
                      name.ends_with("ForImageClassificationWithTeacher");
    const bool encoder = name.ends_with("Model") || name.ends_with("ForMaskedLM") || name.ends_with("ForPreTraining");
    if (!ours && !encoder)
      out_.notes.push_back("'architectures' is " + name.substr(0, 80) +
                           ", which is not known here: taken for a classifier of one label an input, by its tensors");
  }
  return {};
}

// As transformers has it: "num_labels" classes, or two, called LABEL_0, LABEL_1, ...
Status Reader::default_labels() {
  const char* key = has("num_labels") ? "num_labels" : "_num_labels";
  FATHOM_TRY(const int count, number(key, 2));
  for (int i = 0; i < std::min(count, 1'000'000); ++i) out_.spec.label_names.push_back("LABEL_" + std::to_string(i));
  return {};
}

Status Reader::labels() {
  if (!has("id2label")) {
    FATHOM_TRY_VOID(default_labels());
    return problem();
  }
  const Json& ids = config_["id2label"];
  if (!ids.is_object())
    return Error{Code::bad_input, where_ + ": 'id2label' is not an object", "expected {\"0\": \"name\", ...}"};
  const std::size_t count = ids.size();
  std::vector<std::string>& names = out_.spec.label_names;
  for (std::size_t i = 0; i < count; ++i) {
    const auto found = ids.find(std::to_string(i));
    if (found == ids.end() || !(found->is_string() || found->is_number() || found->is_boolean()))
      return Error{
          Code::bad_input,
          where_ + ": 'id2label' has " + std::to_string(count) + " entries but none for class " + std::to_string(i),
          ""};
    names.push_back(found->is_string() ? found->get<std::string>() : found->dump());
  }
  return problem();
}

Status Reader::problem() const {
  if (out_.spec.label_names.size() == 1)
    return refuse("one label: a model that ranks or measures (regression, cross-encoder), which is not computed here",
                  "supported: classifiers of two labels or more");
  if (text("problem_type", "") == "regression")
    return refuse("'problem_type' is \"regression\", which is not computed here",
                  "supported: single_label_classification");
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
  FATHOM_TRY_VOID(only("hidden_act", {"gelu", "gelu_python"}, "supported: \"gelu\" (the erf form)"));
  FATHOM_TRY_VOID(only("position_embedding_type", {"absolute"}, "supported: absolute positions"));
  FATHOM_TRY_VOID(only("is_decoder", {false}, "supported: encoders"));
  FATHOM_TRY_VOID(only("add_cross_attention", {false}, "supported: encoders"));
  FATHOM_TRY_VOID(only("embedding_size", {spec.hidden}, "supported: word embeddings as wide as the layers"));
  if (roberta) {
    FATHOM_TRY(const int pad, number("pad_token_id", 1));
    out_.naming.first_position = spec.padding_id = pad;  // its row comes first, then those of the other ids
    spec.max_tokens -= pad + 1;
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
  FATHOM_TRY_VOID(only("activation", {"gelu", "gelu_python"}, "supported: \"gelu\" (the erf form)"));
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
  FATHOM_TRY_VOID(only("hidden_act", {"gelu", "gelu_python"}, "supported: \"gelu\" (the erf form)"));
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

Error Reader::no_classifier() const {
  const std::string head = head_tensors();
  if (head.empty())
    return {Code::unsupported, where_ + ": the weights have no classifier: this is an encoder before fine-tuning",
            "fine-tune it: fathom fit --from FOLDER --data LABELLED"};
  return {Code::unsupported, where_ + ": the weights have no classifier that is known here, but " + head,
          "supported: the heads of transformers' ...ForSequenceClassification and ...ForImageClassification"};
}

// Where config.json names no classes, their number is a default, and the classifier says whether it is right.
Status Reader::check_classes() const {
  if (!out_.has_classifier || has("id2label")) return {};
  for (const TensorSpec& tensor : task_head_tensors(out_.spec)) {
    if (!tensor.name.ends_with("out.weight")) continue;
    const TensorView* view = tensors_.peek(sources_of(out_.spec, out_.naming, tensor)[0].name);
    if (view == nullptr || view->shape.empty() || view->shape[0] == out_.spec.classes()) return {};
    return Error{Code::bad_input,
                 where_ + ": neither 'id2label' nor 'num_labels' says how many classes there are, which means " +
                     std::to_string(out_.spec.classes()) + ", but the classifier has " + std::to_string(view->shape[0]),
                 "add \"id2label\": {\"0\": \"name\", ...}"};
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
  FATHOM_TRY_VOID(whole_weights());
  if (type.empty() && !from_timm) {
    const std::string guess = guessed_type();
    return refuse("'model_type' is missing", guess.empty()
                                                 ? "add it: bert (MiniLM too), roberta, distilbert, vit or deit"
                                                 : "add \"model_type\": \"" + guess + "\": the tensors' names say so");
  }
  if (!textual && !visual && !from_timm)
    return refuse("'model_type' is \"" + type.substr(0, 60) + "\"",
                  "supported: bert (MiniLM too), roberta, distilbert, vit, deit, and timm's vit_* and deit_*");
  if (!textual) {
    spec.modality = Modality::image;
    spec.norm = NormOrder::pre;
  }
  FATHOM_TRY_VOID(architecture());
  FATHOM_TRY_VOID(only("pruned_heads", {Json::object()}, "supported: all heads of a layer"));
  FATHOM_TRY_VOID(only("quantization_config", {}, "supported: weights in float32, float16 or bfloat16"));
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
  if (headless && classes_.empty()) return no_classifier();
  if (headless && from_timm && spec.prefix_tokens == 2)
    return refuse("a distilled DeiT of timm without its two heads", "fine-tune the plain deit_*");
  if (headless) {
    spec.label_names = classes_;
    head = task_head_tensors(spec);
  }
  FATHOM_TRY_VOID(check_classes());
  FATHOM_TRY_VOID(validate(spec, where_));
  for (const std::string& key : unknown_config_keys(config_, from_timm))
    out_.unread.push_back("config.json: '" + key.substr(0, 80) + "'");
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
