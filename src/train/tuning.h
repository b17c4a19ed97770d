// A checkpoint's own layers trained: plainly (an encoder fine-tuned with its new classifier), or together with exits,
// so that shallow layers answer sooner (`fathom fit --from ... --trunk`). The bundle's model.safetensors is replaced,
// under the same tensor names; exits for use are trained afterwards on the result (train/frozen.h), these ones are
// thrown away. A student is fine-tuned plainly with a deeper model's answers beside the labels: .5 CE_L + .5 T^2
// KL(teacher || p_L).
//   loss = CE_L + s * sum_{i<L} w_i (.5 CE_i + .5 T^2 KL(p_L || p_i)), w_i ~ i, T = 2, no gradient into p_L; s is .2 on
//   even steps and 2 on odd ones in the first half, 2 in the second. Without labels the model's own answers before
//   training stand for CE_L, and the exits follow p_L alone. Layers from the third on are dropped at random for a row
//   with p_l = .1 (e^{l ln 2 / (L - 1)} - 1) * progress. Text embeddings stay as they are.
// Source: docs/adr/0011.
#pragma once

#include "model/model.h"
#include "train/learner.h"
#include "train/options.h"
#include "train/task_head.h"

namespace fathom::train {

enum class Tuning { plain, exits };

struct TuningTask {
  Tuning how = Tuning::plain;
  bool labels = true;
  torch::Tensor teacher;  // [train rows, classes] logits, or undefined; there must be one or the other
};

class TuningLearner final : public Learner {
 public:
  TuningLearner(const fathom::Model& model, TuningTask task);  // starts from the model's weights
  std::unique_ptr<Learner> replica() override;
  FlatParameters& parameters() override { return parameters_; }
  void set_dropout(double share) override { backbone_.set_dropout(share); }
  torch::Tensor loss(const Encoded& part, const torch::Tensor& rows, const Place& place) override;
  double accuracy(const Encoded& data) override;
  std::int64_t row_floats() const override { return std::int64_t{spec_.tokens()} * spec_.hidden; }

  void set_task(TuningTask task) { task_ = std::move(task); }  // of the same `how`
  torch::Tensor logits(const Encoded& data);                   // of the last exit, [n, classes], evaluation mode
  // Backbone and classifier under the names of model/names.h, as they are now.
  std::map<std::string, torch::Tensor> weights() const;
  // The checkpoint's file with these weights in it (model/checkpoint_file.h); what they do not reach comes from
  // `before`.
  Result<std::string> file(const SafeTensors& before, const Naming& naming) const;

 private:
  TuningLearner(const ModelSpec& spec, TuningTask task);
  torch::Tensor last_loss(const torch::Tensor& logits, const Encoded& part, const torch::Tensor& rows) const;
  void collect();
  ModelSpec spec_;
  TuningTask task_;
  Backbone backbone_;
  TaskHeadModule head_;
  Heads exits_;
  FlatParameters parameters_;
};

// The stage: the bundle in options.output, its data in options.data. Its state is kept in <output>/fit/.
// Errors: bad_input, corrupt_bundle, io, quality (the loss left the numbers), cancelled.
Status tune_checkpoint(const FitOptions& options);

}  // namespace fathom::train
