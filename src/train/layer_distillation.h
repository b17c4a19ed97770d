// What a teacher that reads the same tokens teaches a student of any shape beside its answers: the states after layers
// and, where both mix by softmax over all tokens, who attends to whom. Of a row with T tokens, summed over rows:
//   loss = 1/(L_s + 1) sum_{l=0..L_s} |W_l h_l + b_l - t_m(l)|^2 / |t_m(l)|^2
//        + 1/L_s sum_{l=1..L_s, m(l)>0} 1/(R T) sum_{r,i} [KL(A^t_m(l) || A^s_l)_{r,i} + KL(V^t_m(l) || V^s_l)_{r,i}]
//   m(l) = round(l L_t / L_s); level 0 is what layer 1 reads
//   A = softmax(Q_r K_r^T / sqrt(d_r)), V = softmax(V_r V_r^T / sqrt(d_r)): each row i a distribution over the row's
//   own tokens
// W, b: [hidden_t, hidden_s], learned with the student where widths differ, else left out; no part of what is written.
// R = gcd of both head counts: neighbouring heads are read as one, so that neither head counts nor widths need be
// equal. Source: TinyBERT (Jiao et al. 2020): uniform map, embeddings and states through W; MiniLM (Wang et al. 2020)
// and MiniLMv2 (2021): query-key and value relations, relation heads. Why relations and no attention maps: ADR 0018.
// Thread rule: one object per thread; a replica shares the teacher, which runs without gradients. Determinism: pure
// function of its inputs.
#pragma once

#include <memory>
#include <vector>

#include "train/whole_model.h"

namespace fathom::train {

class LayerDistillation {
 public:
  // Random projections from torch's global generator, where there are any.
  LayerDistillation(const ModelSpec& student, std::shared_ptr<WholeModel> teacher);
  std::shared_ptr<LayerDistillation> replica() const { return std::make_shared<LayerDistillation>(student_, teacher_); }

  // states: what all_states gave for `part`, a batch of the training rows. Summed over its rows.
  torch::Tensor loss(const Backbone& student, const std::vector<torch::Tensor>& states, const Encoded& part) const;

  int teacher_level(int level) const;                              // m: 0..student layers -> 0..teacher layers
  std::int64_t relation_heads() const { return relation_heads_; }  // 0: relations are not compared
  std::vector<torch::Tensor> parameters() const;                   // that are learned with the student's
  Json facts() const;                                              // which levels, how many relation heads

 private:
  torch::Tensor states_distance(const std::vector<torch::Tensor>& states, const std::vector<torch::Tensor>& taught,
                                const torch::Tensor& keep) const;
  torch::Tensor relations_divergence(const Backbone& student, const std::vector<torch::Tensor>& states,
                                     const std::vector<torch::Tensor>& taught, const torch::Tensor& keep,
                                     const torch::Tensor& lengths) const;

  ModelSpec student_;
  std::shared_ptr<WholeModel> teacher_;
  std::int64_t relation_heads_ = 0;
  struct Projection {
    torch::Tensor weight, bias;
  };
  std::vector<Projection> projections_;  // one a level, or none
};

torch::Tensor tokens_there(const Encoded& part, std::int64_t tokens);  // [B, tokens, 1]: 1 where a token stands
// |h - t|^2 / |t|^2 over each row's tokens, summed over rows. keep: what tokens_there gave.
torch::Tensor relative_distance(const torch::Tensor& h, const torch::Tensor& t, const torch::Tensor& keep);

// States before layer 1 and after each layer: layers + 1 of [B, T, hidden].
std::vector<torch::Tensor> all_states(Backbone& backbone, const Encoded& part);

// Before training, the word rows of a student that reads its teacher's tokens: the leading principal components of the
// teacher's rows, as many as its own rows are wide (zeros beyond), as large in the mean as the random rows were. Layers
// are random, so the basis is free.
void start_from_words(const Backbone& student, const WholeModel& teacher);

}  // namespace fathom::train
