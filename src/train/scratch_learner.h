// A model from scratch, trained plainly: only its last exit. With a teacher's logits half of the loss is what that
// answers:
//   .5 CE + .5 T^2 KL(teacher || p), T = 2
// and with a teacher that reads the same tokens the loss of layer_distillation.h is added.
// Source: Hinton et al. 2015 (distillation).
#pragma once

#include "train/layer_distillation.h"
#include "train/learner.h"

namespace fathom::train {

class ScratchLearner final : public Learner {
 public:
  // teacher [train rows, classes], or undefined; layers: null without.
  ScratchLearner(Backbone& backbone, Heads& heads, torch::Tensor teacher = {},
                 std::shared_ptr<LayerDistillation> layers = nullptr);
  std::unique_ptr<Learner> replica() override;
  FlatParameters& parameters() override { return parameters_; }
  void set_dropout(double share) override { backbone_.set_dropout(share); }
  torch::Tensor loss(const Encoded& part, const torch::Tensor& rows, const Place& place) override;
  double accuracy(const Encoded& data) override;
  std::int64_t row_floats() const override { return std::int64_t{backbone_.spec().tokens()} * backbone_.spec().hidden; }

 private:
  struct Own {
    Backbone backbone;
    Heads heads;
  };
  ScratchLearner(std::unique_ptr<Own> own, const ScratchLearner& other);
  std::unique_ptr<Own> own_;  // a replica's
  Backbone& backbone_;
  Heads& heads_;
  torch::Tensor teacher_;
  std::shared_ptr<LayerDistillation> layers_;
  FlatParameters parameters_;
};

// Logits of the last exit, [n, classes], evaluation mode; and their accuracy.
torch::Tensor last_logits(Backbone& backbone, const Heads& heads, const Encoded& data);
double full_depth_accuracy(Backbone& backbone, const Heads& heads, const Encoded& data);

}  // namespace fathom::train
