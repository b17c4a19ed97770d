// The feature extractor over h0 in LibTorch: proj, conv1 (h1: complexity), conv2 (h2: policy), conv3 (h3: distillation,
// training only), exactly the arithmetic of docs/formats/bundle.md. Padded positions of a text are zero before every
// convolution, so a text sees the same zero padding as alone.
// Training keeps the trunk frozen: BCE of "l_opt > l" from pooled statistics of h1 and of h2, and dual-path
// distillation of h3 (KL to the backbone's last logits, T = 2). Thread rule: one module, one thread.
// Source: paper 3.1 (extractor), 1.3 (dual-path distillation).
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "model/spec.h"
#include "train/torch.h"

namespace fathom::train {

class Extractor : public torch::nn::Module {
 public:
  // `scale`: typical size of one element of h0; the projection starts at unit scale whatever the backbone.
  Extractor(const ModelSpec& spec, double scale, std::uint64_t seed);

  // h0: [B, T, hidden] with T >= every length; lengths: [B] int64 (images: ignored, T = spec.tokens()).
  torch::Tensor h1(const torch::Tensor& h0, const torch::Tensor& lengths) const;  // [B, c1, rows, columns]
  torch::Tensor h2(const torch::Tensor& h1, const torch::Tensor& lengths) const;  // image: pooled 2x2 first
  torch::Tensor h3(const torch::Tensor& h2, const torch::Tensor& lengths) const;  // training only
  // extractor.* of model/names.h; conv3 is not shipped.
  std::map<std::string, torch::Tensor> named_weights() const;

 private:
  torch::Tensor keep(const torch::Tensor& map, const torch::Tensor& lengths) const;
  ModelSpec spec_;
  torch::Tensor proj_w_, proj_b_, conv1_w_, conv1_b_, conv2_w_, conv2_b_, conv3_w_, conv3_b_;
};

// [B, 2c]: mean over the valid positions, then maximum. Maps are >= 0 and zero at padding. Differentiable.
torch::Tensor mean_and_max(const ModelSpec& spec, const torch::Tensor& map, const torch::Tensor& lengths);

// The predictor's features, [n, 4 * c1 + 1] double, without the exit (policy/policy.h has the order).
torch::Tensor predictor_features(const ModelSpec& spec, const torch::Tensor& h1, const torch::Tensor& lengths);

struct ExtractorData {
  torch::Tensor h0, lengths;  // [n, T, hidden], [n]
  torch::Tensor depth;        // [n] int64, stable depth 1..layers
  torch::Tensor teacher;      // [n, classes], the backbone's last logits
};

struct ExtractorFit {
  std::shared_ptr<Extractor> extractor;
  int epochs = 0;           // epochs of the returned weights
  double held_loss = 0;     // BCE of the h1 head on the held rows; 0 without any
  double distill_loss = 0;  // last epoch's KL, T = 2
};

struct ExtractorSettings {
  int epochs = 12;  // most epochs; the cosine schedule's length
  int batch = 192;
  double rate = 5e-3, weight_decay = 1e-2, distill_weight = 0.2;
  bool keep_best = false;  // return the epoch with the lowest loss on `held`
  std::uint64_t seed = 1;
  std::shared_ptr<Extractor> from;  // goes on training this one; null: a new one
};

// Trains on the rows of `train`. Stops after `stop_after` epochs of the schedule (0: all).
ExtractorFit fit_extractor(const ModelSpec& spec, const ExtractorData& data, const torch::Tensor& train,
                           const torch::Tensor& held, const ExtractorSettings& settings, int stop_after);

// What the decision needs of every row: predictor features [n, 4 c1 + 1] double and the policy's
// input [n, 2 c2 + 1] float (level 0).
struct Extracted {
  torch::Tensor features, policy_input;
};
Extracted extract(const ModelSpec& spec, const Extractor& extractor, const torch::Tensor& h0,
                  const torch::Tensor& lengths);

}  // namespace fathom::train
