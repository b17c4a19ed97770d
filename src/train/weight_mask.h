// Which single weights of the layers' matrices are zero while a model is trained (`fathom compress --prune weights=...`). Without a goal: those that are
// zero already, and they stay. With one the share of zeros in every matrix grows from 0 to the goal's between 5 % and 70 % of the steps,
//   s(x) = s (1 - (1 - x)^3), x from 0 to 1 (Zhu and Gupta 2017),
// and training ends with the last choice fixed. Zero is what matters least by
//   magnitude: |w|
//   movement:  S, the sum of -rate * dL/dw * w over the steps so far, dL/dw of what the forward pass saw (Sanh et al. 2020): a weight that training
//              moves away from 0 gains, one that it moves towards 0 loses, however large it is.
// 2:4: of four that follow one another in a row never more than two are chosen, and in the end exactly two. A weight that is zero keeps its value aside
// and comes back with it when it matters more than others; what was zero from the start never does. Ties go by place.
// Pure functions of values, gradients and step: the same for any number of threads, and after a resumed run with `kept`.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "train/learner.h"

namespace fathom::train {

struct ZeroGoal {
  double share = 0;          // of every matrix: 0 <= share < 1
  bool two_of_four = false;  // instead of a share
  bool movement = false;     // else by magnitude
  bool any() const { return share > 0 || two_of_four; }
  Json json() const { return {{"share", two_of_four ? Json("2:4") : Json(share)}, {"by", movement ? "movement" : "magnitude"}}; }
};
Result<ZeroGoal> parse_zero_goal(const std::string& share, bool movement);  // "0.5" or "2:4"; error: usage

// Part of the goal's share that is zero after `done` of `steps` steps: 0 to 1.
double zeros_grown(std::int64_t done, std::int64_t steps);
bool zeros_chosen(std::int64_t done, std::int64_t steps);  // anew, after this step

class WeightMask {
 public:
  WeightMask() = default;
  // matrices: views into the learner's flat values, [rows, columns] without gaps.
  WeightMask(const FlatParameters& parameters, const std::vector<torch::Tensor>& matrices, ZeroGoal goal);
  void before_update(const UpdateAt& at);  // the step's gradients are there: none into zeros
  void after_update(const UpdateAt& at);
  std::map<std::string, torch::Tensor> kept() const;  // with the values all that a resumed run needs

 private:
  struct Matrix {
    std::int64_t begin, rows, columns;
  };
  void choose(double grown);
  FlatParameters parameters_;
  std::vector<Matrix> matrices_;
  ZeroGoal goal_;
  torch::Tensor allowed_;  // flat: 0 where a matrix was zero from the start, else 1; undefined: nowhere
  torch::Tensor mask_;     // flat: 0 where a weight is zero now; undefined: none is and none will be
  torch::Tensor aside_;    // flat: the values of those that are zero for now
  torch::Tensor scores_;   // flat: S
};

}  // namespace fathom::train
