// Algorithm 1 as printed, for comparison with the default recipe (`--recipe paper`). Every epoch: (1) controller
// frozen, predictor trained (LightGBM, Huber on l_opt, from h1); (2) epoch % 3 == 0: PPO of the controller, which reads
// h2 and the predicted level and emits a skip mask before layer 1; otherwise the backbone: cross-entropy of the gated
// pass plus distillation from the full-depth pass (T = 2). Adam, rate halved every 10 epochs, early stopping.
// What the paper leaves open, and what is done here: l_opt is the stable depth read through the task head at every
// layer; the extractor trains with the predictor (step 1); a reward of 1 for a right answer, minus kPrice times the
// share of layers run, minus .01 per switch. An epoch is a pass over the data, or a 30th of the budget if that is less.
// Thread rule: one thread. Errors: cancelled (state kept), usage (foreign checkpoint). Source: paper 3.2, B.2.
#pragma once

#include "train/backbone.h"
#include "train/checkpoint.h"
#include "train/decision.h"
#include "train/metrics.h"
#include "train/options.h"
#include "train/prepare.h"

namespace fathom::train {

struct PaperRun {
  const Encoded& train;
  const Encoded& tune;
  std::int64_t steps = 0;  // budget of gradient steps, backbone and controller epochs together
  std::int64_t batch = 32;
  double rate = 1e-4;
  std::uint64_t seed = 1;
  bool progress = false;
};

// The budget of the default recipe's schedule in steps of this batch; --batch-size and --lr are obeyed.
PaperRun paper_run(const Prepared& prepared, const FitOptions& options);
Json schedule_of(const PaperRun& run);  // what it trains by, for the bundle's provenance

inline constexpr double kPrice = 0.3;  // what all layers together cost, in units of a right answer

// Trains backbone, task head, extractor and controller in place, resumes from `checkpoints` ("paper", once an epoch),
// returns a decision of PolicyKind::gates. Facts: epochs, mean layers run, gated and full-depth accuracy on tune.
Result<DecisionResult> train_paper(Backbone& backbone, Heads& heads, const PaperRun& run,
                                   const Checkpoints& checkpoints, Metrics& metrics);

// One pass with a mask per row, [B, layers] bool (a row without any layer runs layer 1): logits of the task head.
torch::Tensor gated_logits(Backbone& backbone, const Heads& heads, const Encoded& batch, const torch::Tensor& h0,
                           const torch::Tensor& runs);

// Layers that run: skip logit < 0 (sigmoid < 1/2); layer 1 if none would.
torch::Tensor runs_of(const torch::Tensor& skip_logits);

}  // namespace fathom::train
