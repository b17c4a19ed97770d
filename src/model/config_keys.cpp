#include "model/config_keys.h"

#include <set>
#include <string_view>

namespace fathom {
namespace {

const std::set<std::string_view>& used_keys() {  // by model/hugging_face.cpp and data/tokenizer_settings.cpp
  static const std::set<std::string_view> kKeys = {"activation",
                                                   "add_cross_attention",
                                                   "architectures",
                                                   "dim",
                                                   "embedding_size",
                                                   "hidden_act",
                                                   "hidden_dim",
                                                   "hidden_size",
                                                   "id2label",
                                                   "image_size",
                                                   "intermediate_size",
                                                   "is_decoder",
                                                   "label2id",
                                                   "layer_norm_eps",
                                                   "max_position_embeddings",
                                                   "model_type",
                                                   "n_heads",
                                                   "n_layers",
                                                   "num_attention_heads",
                                                   "num_channels",
                                                   "num_hidden_layers",
                                                   "num_labels",
                                                   "_num_labels",
                                                   "pad_token_id",
                                                   "patch_size",
                                                   "position_embedding_type",
                                                   "problem_type",
                                                   "pruned_heads",
                                                   "qkv_bias",
                                                   "quantization_config",
                                                   "tokenizer_class",
                                                   "type_vocab_size",
                                                   "use_mask_token",
                                                   "vocab_size"};
  return kKeys;
}

// Training, generation, bookkeeping, and what a family's classifier passes over.
const std::set<std::string_view>& harmless_keys() {
  static const std::set<std::string_view> kKeys = {"_attn_implementation",
                                                   "_attn_implementation_autoset",
                                                   "_commit_hash",
                                                   "_name_or_path",
                                                   "name_or_path",
                                                   "attention_dropout",
                                                   "attention_probs_dropout_prob",
                                                   "attn_implementation",
                                                   "bad_words_ids",
                                                   "begin_suppress_tokens",
                                                   "bos_token_id",
                                                   "chunk_size_feed_forward",
                                                   "classifier_dropout",
                                                   "cls_token_id",
                                                   "cross_attention_hidden_size",
                                                   "decoder_start_token_id",
                                                   "directionality",
                                                   "diversity_penalty",
                                                   "do_sample",
                                                   "dropout",
                                                   "dtype",
                                                   "early_stopping",
                                                   "encoder_no_repeat_ngram_size",
                                                   "encoder_stride",
                                                   "eos_token_id",
                                                   "exponential_decay_length_penalty",
                                                   "finetuning_task",
                                                   "forced_bos_token_id",
                                                   "forced_eos_token_id",
                                                   "gradient_checkpointing",
                                                   "hidden_dropout_prob",
                                                   "initializer_range",
                                                   "is_encoder_decoder",
                                                   "label_names",
                                                   "language",
                                                   "layerdrop",
                                                   "length_penalty",
                                                   "mask_token_id",
                                                   "max_length",
                                                   "min_length",
                                                   "no_repeat_ngram_size",
                                                   "num_beam_groups",
                                                   "num_beams",
                                                   "num_return_sequences",
                                                   "output_attentions",
                                                   "output_hidden_states",
                                                   "output_past",
                                                   "output_scores",
                                                   "pooler_act",
                                                   "pooler_fc_size",
                                                   "pooler_num_attention_heads",
                                                   "pooler_num_fc_layers",
                                                   "pooler_output_size",
                                                   "pooler_size_per_head",
                                                   "pooler_type",
                                                   "prefix",
                                                   "qa_dropout",
                                                   "remove_invalid_values",
                                                   "repetition_penalty",
                                                   "return_dict",
                                                   "return_dict_in_generate",
                                                   "sbert_ce_default_activation_function",
                                                   "sentence_transformers",
                                                   "sep_token_id",
                                                   "seq_classif_dropout",
                                                   "sinusoidal_pos_embds",
                                                   "suppress_tokens",
                                                   "task_specific_params",
                                                   "temperature",
                                                   "tf_legacy_loss",
                                                   "tie_encoder_decoder",
                                                   "tie_weights_",
                                                   "tie_word_embeddings",
                                                   "top_k",
                                                   "top_p",
                                                   "torch_dtype",
                                                   "torchscript",
                                                   "transformers_version",
                                                   "typical_p",
                                                   "use_bfloat16",
                                                   "use_cache"};
  return kKeys;
}

const std::set<std::string_view>& timm_keys() {
  static const std::set<std::string_view> kKeys = {
      "architecture", "global_pool",  "label_descriptions", "label_names", "model_args",
      "num_classes",  "num_features", "pretrained_cfg",     "pool_size",   "task_cfg",
      "tag",          "license",      "hf_hub_id",          "url",         "input_size"};
  return kKeys;
}

// The shape is read from the tensors, dropping out ends with training.
const std::set<std::string_view>& timm_arguments() {
  static const std::set<std::string_view> kKeys = {
      "attn_drop_rate", "depth",          "drop_path_rate", "drop_rate",      "embed_dim",
      "img_size",       "mlp_ratio",      "num_heads",      "num_classes",    "patch_size",
      "pos_drop_rate",  "proj_drop_rate", "in_chans",       "patch_drop_rate"};
  return kKeys;
}

bool says_nothing(const Json& value) { return value.is_null() || value == Json(false) || value.empty(); }

}  // namespace

std::vector<std::string> unknown_config_keys(const Json& config, bool timm) {
  std::vector<std::string> out;
  for (const auto& [key, value] : config.items()) {
    const bool known = timm ? timm_keys().contains(key) : used_keys().contains(key) || harmless_keys().contains(key);
    if (!known && !says_nothing(value)) out.push_back(key);
  }
  if (timm && config.contains("model_args") && config["model_args"].is_object())
    for (const auto& [key, value] : config["model_args"].items())
      if (!timm_arguments().contains(key) && !value.is_null()) out.push_back("model_args." + key);
  return out;
}

}  // namespace fathom
