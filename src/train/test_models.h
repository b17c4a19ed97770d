// Tests only: a small text model, and random inputs for it.
#pragma once

#include "train/backbone.h"

namespace fathom::train::testing {

inline ModelSpec small_spec(NormOrder norm, int layers, int heads, int ffn) {
  ModelSpec spec;
  spec.layers = layers;
  spec.hidden = 32;
  spec.heads = heads;
  spec.ffn = ffn;
  spec.norm = norm;
  spec.pooling = Pooling::cls_mean;
  spec.vocab = 30;
  spec.max_tokens = 19;
  spec.token_types = 0;
  spec.layer_norm_eps = 1e-6f;
  spec.exit_head_hidden = 8;
  spec.label_names = {"a", "b", "c"};
  return spec;
}

// By torch's global generator: call torch::manual_seed first.
inline Encoded random_texts(const ModelSpec& spec, std::int64_t n) {
  Encoded out;
  out.lengths = torch::randint(2, spec.max_tokens + 1, {n}, torch::kLong);
  out.ids = torch::randint(5, spec.vocab, {n, spec.max_tokens}, torch::kLong);
  out.ids.masked_fill_(torch::arange(spec.max_tokens).unsqueeze(0) >= out.lengths.unsqueeze(1), 0);
  out.labels = torch::randint(0, spec.classes(), {n}, torch::kLong);
  return out;
}

}  // namespace fathom::train::testing
