// A model from scratch, trained plainly: only its last exit. Source: RECIPE section 2 (stage 0).
#pragma once

#include "train/learner.h"

namespace fathom::train {

class ScratchLearner final : public Learner {
 public:
  ScratchLearner(Backbone& backbone, Heads& heads);
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
  explicit ScratchLearner(std::unique_ptr<Own> own);
  std::unique_ptr<Own> own_;  // a replica's
  Backbone& backbone_;
  Heads& heads_;
  FlatParameters parameters_;
};

// Logits of the last exit, [n, classes], evaluation mode; and their accuracy.
torch::Tensor last_logits(Backbone& backbone, const Heads& heads, const Encoded& data);
double full_depth_accuracy(Backbone& backbone, const Heads& heads, const Encoded& data);

}  // namespace fathom::train
