// Which single weights of the layers' matrices are zero while a model is trained (`fathom compress --prune
// weights=...`). Without a goal: those that are zero already, and they stay. With one the share of zeros in every
// matrix grows from 0 to the goal's between 5 % and 70 % of the steps,
//   s(x) = s (1 - (1 - x)^3), x from 0 to 1 (Zhu and Gupta 2017),
// and training ends with the last choice fixed. Zero is what is smallest. A weight that is zero keeps its value aside
// and comes back with it when others are smaller; what was zero from the start never does.
//   magnitude: the value aside stays as it was.
//   movement:  gradients of zeros reach it (straight through, Lin et al. 2020), so that what training moves away from 0
//   comes back and what it moves
//              towards 0 goes. A sum of movements alone, from 0 (Sanh et al. 2020), knows nothing yet when the first
//              zeros are chosen, where training starts from its own teacher: every gradient is 0 there.
// 2:4: of four that follow one another in a row never more than two are chosen, and in the end exactly two. Ties go by
// place. Pure functions of values, gradients and step: the same for any number of threads, and after a resumed run with
// `kept`.
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
  bool movement = false;     // zeros move on; else their values stay
  bool any() const { return share > 0 || two_of_four; }
  Json json() const {
    return {{"share", two_of_four ? Json("2:4") : Json(share)}, {"by", movement ? "movement" : "magnitude"}};
  }
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
  void before_update();  // the step's gradients are there: into zeros none, or only aside
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
};

}  // namespace fathom::train
