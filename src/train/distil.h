// A bundle that compression made smaller, trained to answer and to look as the one it was made of (`fathom compress
// --tune`): no labels, every exit, every layer. The shapes differ inside layers alone, so states are compared as they
// are.
//   loss = T^2 KL(teacher_L || p_L) + mean_{i<L} T^2 KL(teacher_i || p_i) + mean_l |h_l - t_l|^2 / |t_l|^2, T = 2
// Zeros in the matrices of the layers stay zero, for compression set them, or grow in number while it trains
// (weight_mask.h). Rounded to int8 in the forward pass (backbone.h, set_int8), the student learns to answer as the
// teacher does in spite of it. h_l, t_l: a row's states after layer l, all its tokens; exits learn too, extractor,
// predictor and policy stay as they are. Source: the paper's fine-tuning after folding; the terms are
// TinyBERT's (Jiao et al. 2020) without attention maps.
#pragma once

#include "train/learner.h"
#include "train/options.h"
#include "train/weight_mask.h"
#include "train/whole_model.h"

namespace fathom::train {

class DistilLearner final : public Learner {
 public:
  DistilLearner(std::unique_ptr<WholeModel> student, std::shared_ptr<WholeModel> teacher, const ZeroGoal& goal = {});
  std::unique_ptr<Learner> replica() override;
  FlatParameters& parameters() override { return parameters_; }
  void set_dropout(double share) override { student_->backbone().set_dropout(share); }
  torch::Tensor loss(const Encoded& part, const torch::Tensor& rows, const Place& place) override;
  void before_update() override { mask_.before_update(); }
  void after_update(const UpdateAt& at) override { mask_.after_update(at); }
  std::map<std::string, torch::Tensor> kept() const override { return mask_.kept(); }
  double accuracy(const Encoded& data) override { return accuracy_of(student_->logits(data), data.labels); }
  std::int64_t row_floats() const override { return std::int64_t{student_->spec().tokens()} * student_->spec().hidden; }
  WholeModel& student() const { return *student_; }

 private:
  std::unique_ptr<WholeModel> student_;
  std::shared_ptr<WholeModel> teacher_;
  FlatParameters parameters_;
  WeightMask mask_;
};

// The stage: the bundle in options.output is trained in place towards options.teacher on the rows of options.data,
// which are read as the bundle records. Its state is kept in options.state. Errors: bad_input, corrupt_bundle, io,
// quality (the loss left the numbers), cancelled.
Status distil_bundle(const FitOptions& options);

}  // namespace fathom::train
