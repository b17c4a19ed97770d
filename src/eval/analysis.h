// What the table does not say, as sections of eval.json: Theorem 1, error propagation, depth and complexity, the
// predictor, the worst under-predictions. Pure functions of a trace and of Fathom's outcome on the same split.
#pragma once

#include "base/json.h"
#include "data/dataset.h"
#include "eval/systems.h"
#include "eval/trace.h"

namespace fathom::eval {

// Fathom on one split.
struct Adaptive {
  const Traced& traced;
  const Outcome& outcome;
  policy::Score score;              // shipped
  policy::PolicyKind kind;          // gates: the accuracy side of the theorem and exits' statements are left out
  std::vector<std::int32_t> l_opt;  // stable depth of each input
};

// Eq. (5) with alpha = P(exit = l_opt) as measured and epsilon = 0, beside the measured mean; and the side the theorem
// leaves out: for exits, accuracy drop <= P(exit < l_opt). The paper's alpha is the predictor's: where there is one,
// how often it names the stable depth before layer 1 (predictor_alpha) and the bound with it stand beside.
Json theorem_section(const Adaptive& adaptive, ExitCosts& costs, policy::PredictorKind predictor);

// Eq. (9): |CE_l - CE_L| <= gamma^(L - l) ||h_l||. Per exit: median and maximum over inputs of the smallest gamma.
Json gamma_section(const Traced& traced);

// Histogram of depth, share of inputs that ran each layer, by stable depth.
Json depth_section(const Adaptive& adaptive);

// Generated data: mean depth and exit accuracy by known complexity, Spearman. null where complexity is unknown.
Json complexity_section(const Adaptive& adaptive);

// Depth the predictor alone expects, against stable depth. null where the bundle has no predictor.
Json predictor_section(const Adaptive& adaptive, policy::PredictorKind kind);

// What became of each class: by_class [{label, count, recall, full_depth_recall, precision}], Fathom's; confusion
// [label] [answer] where there are at most 32 classes; confused [{label, answer, count}], the most frequent mistakes.
// Classes come in the bundle's order. Written into `eval`; nothing without labels.
void add_classes(const Adaptive& adaptive, const std::vector<std::string>& label_names, Json& eval);

// The shallowest exit that answers like full depth: the first whose accuracy, by the 95 % interval of the difference,
// may not lie more than half a point below: {exit, macs, difference, interval}. null without labels, or where only the
// last does.
Json enough_section(const Adaptive& adaptive, ExitCosts& costs, std::uint64_t seed);

// The inputs stopped farthest before their stable depth, wrong answers first among equals, with the input itself
// (text, or the picture as a PNG data URI).
Json worst_section(const Adaptive& adaptive, const data::Dataset& dataset, data::Part part,
                   const std::vector<std::string>& label_names, std::size_t most);

}  // namespace fathom::eval
