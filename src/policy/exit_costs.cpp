#include "policy/exit_costs.h"

#include <algorithm>

#include "base/check.h"

namespace fathom::policy {

const Ledger& ExitCosts::ledger(int tokens) {
  const auto [found, fresh] = ledgers_.try_emplace(tokens);
  if (fresh) found->second = ledger_for(spec_, tokens);
  return found->second;
}

Cost ExitCosts::adaptive(Score score, int tokens, int exit, int tree_passes) {
  FATHOM_CHECK(exit >= 1 && exit <= spec_.layers, "exit out of range");
  const Ledger& l = ledger(tokens);
  const int checkpoints = std::max(0, std::min(exit, spec_.layers - 1) - policy_.first_exit + 1);
  const bool trees = score == Score::predictor || score == Score::fused;
  const bool lstm = score == Score::policy || score == Score::fused;
  Cost cost;
  if (score != Score::predictor) {
    const int not_taken = exit < spec_.layers ? checkpoints - 1 : checkpoints;
    cost.decision += std::max(0, not_taken) * l.exit_head;
  }
  if (lstm) cost.decision += l.extractor + l.policy_init + checkpoints * l.policy_step;
  if (score == Score::predictor) cost.decision += l.extractor - second_convolution(tokens);
  if (policy_.predictor) {
    // The regression's trees run once an input, the survival trees once for every exit asked about.
    const bool once = policy_.predictor_kind == PredictorKind::huber;
    int passes = trees ? (score == Score::fused && tree_passes >= 0 ? tree_passes : checkpoints) : 0;
    if (lstm && policy_.policy_reads_level) passes += once ? 1 : spec_.layers - 1;
    cost.decision += (once ? std::min(1, passes) : passes) * policy_.predictor->mean_path();
  }
  cost.macs = l.embed + exit * l.layer + head(l, exit) + cost.decision;
  return cost;
}

// Only the LSTM reads h2: without it the second convolution is not run.
double ExitCosts::second_convolution(int tokens) const {
  const bool image = spec_.modality == Modality::image;
  const int rows = spec_.grid_rows();
  const double positions = image ? static_cast<double>((rows + 1) / 2) * ((spec_.grid_columns() + 1) / 2) : tokens;
  return positions * (rows == 1 ? 3 : 9) * spec_.extractor.c1 * spec_.extractor.c2;
}

Cost ExitCosts::fixed(int tokens, int exit) {
  const Ledger& l = ledger(tokens);
  return {l.embed + exit * l.layer + head(l, exit), 0};
}

Cost ExitCosts::layers_run(int tokens, int layers) {
  const Ledger& l = ledger(tokens);
  return {l.embed + layers * l.layer + l.task_head, 0};
}

}  // namespace fathom::policy
