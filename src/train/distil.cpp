#include "train/distil.h"

#include "base/random.h"
#include "train/heads.h"
#include "train/layer_distillation.h"

namespace fathom::train {

using torch::Tensor;

DistilLearner::DistilLearner(std::unique_ptr<WholeModel> student, std::shared_ptr<WholeModel> teacher,
                             const ZeroGoal& goal)
    : student_(std::move(student)), teacher_(std::move(teacher)), parameters_(student_->parameters()) {
  teacher_->backbone().eval();
  mask_ = WeightMask(parameters_, student_->layer_matrices(), goal);
}

std::unique_ptr<Learner> DistilLearner::replica() {
  auto copy = std::make_unique<WholeModel>(student_->spec(), student_->has_exits());
  copy->copy_from(*student_);  // what does not learn is no part of the flat values
  copy->backbone().set_int8(student_->backbone().int8_levels());
  auto out = std::make_unique<DistilLearner>(std::move(copy), teacher_);
  out->parameters_.share(parameters_);
  return out;
}

Tensor DistilLearner::loss(const Encoded& part, const Tensor&, const Place& place) {
  WholeModel::Pass taught;
  {
    torch::NoGradGuard no_grad;
    taught = teacher_->run(part);
  }
  student_->backbone().train();
  student_->backbone().seed_dropout(Random(place.seed, "dropout", place.stream()).next());
  const WholeModel::Pass pass = student_->run(part);
  const auto follows = [&](std::size_t i) {
    return row_divergence(pass.logits[i], taught.logits[taught.logits.size() - pass.logits.size() + i],
                          kDistilTemperature)
        .sum();
  };
  const std::size_t exits = pass.logits.size() - 1;
  Tensor loss = follows(exits);
  for (std::size_t i = 0; i < exits; ++i) loss = loss + follows(i) / static_cast<double>(exits);
  const auto keep = tokens_there(part, pass.states[0].size(1));
  for (std::size_t l = 0; l < pass.states.size(); ++l)
    loss = loss + relative_distance(pass.states[l], taught.states[l], keep) / static_cast<double>(pass.states.size());
  return loss / static_cast<double>(place.batch);
}

}  // namespace fathom::train
