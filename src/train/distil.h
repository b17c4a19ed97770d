// A bundle that compression made smaller, trained to answer and to look as the one it was made of (`fathom compress --tune`): no labels, every
// exit, every layer. The shapes differ inside layers alone, so states are compared as they are.
//   loss = T^2 KL(teacher_L || p_L) + mean_{i<L} T^2 KL(teacher_i || p_i) + mean_l |h_l - t_l|^2 / |t_l|^2, T = 2
// Zeros in the matrices of the layers stay zero: compression set them.
// h_l, t_l: a row's states after layer l, all its tokens; exits learn too, extractor, predictor and policy stay as they are.
// Source: paper/002 (fine-tuning after folding), paper/004 (distillation); the terms are TinyBERT's without attention maps.
#pragma once

#include "train/learner.h"
#include "train/options.h"
#include "train/whole_model.h"

namespace fathom::train {

class DistilLearner final : public Learner {
 public:
  DistilLearner(std::unique_ptr<WholeModel> student, std::shared_ptr<WholeModel> teacher);
  std::unique_ptr<Learner> replica() override;
  FlatParameters& parameters() override { return parameters_; }
  void set_dropout(double share) override { student_->backbone().set_dropout(share); }
  torch::Tensor loss(const Encoded& part, const torch::Tensor& rows, const Place& place) override;
  void mask_gradients(torch::Tensor gradients) override {
    if (mask_.defined()) gradients.mul_(mask_);
  }
  double accuracy(const Encoded& data) override { return accuracy_of(student_->logits(data), data.labels); }
  std::int64_t row_floats() const override { return std::int64_t{student_->spec().tokens()} * student_->spec().hidden; }
  const WholeModel& student() const { return *student_; }

 private:
  std::unique_ptr<WholeModel> student_;
  std::shared_ptr<WholeModel> teacher_;
  FlatParameters parameters_;
  torch::Tensor mask_;  // flat: 0 where a matrix of the layers has a zero, else 1; undefined: none has
};

// The stage: the bundle in options.output is trained in place towards options.teacher on the rows of options.data, which are read as the bundle
// records. Its state is kept in options.state. Errors: bad_input, corrupt_bundle, io, quality (the loss left the numbers), cancelled.
Status distil_bundle(const FitOptions& options);

}  // namespace fathom::train
