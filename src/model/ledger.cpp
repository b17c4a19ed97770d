#include "model/ledger.h"

#include "model/names.h"

namespace fathom {
namespace {

// Pairs (i, j) with |i - j| <= window; window 0 is full attention.
double attention_pairs(double tokens, int window) {
  if (window == 0 || window >= tokens - 1) return tokens * tokens;
  const double w = window;
  return tokens + 2 * (w * tokens - w * (w + 1) / 2);  // the diagonal, and tokens - d pairs on each side at distance d
}

double head_macs(const ModelSpec& spec, int exit) {
  const HeadShape head = spec.head_shape(exit);
  return static_cast<double>(head.dense) * head.input + static_cast<double>(head.out_input()) * spec.classes();
}

double extractor_macs(const ModelSpec& spec, double tokens) {
  const ExtractorSpec& e = spec.extractor;
  const bool image = spec.modality == Modality::image;
  const int rows = spec.grid_rows(), columns = spec.grid_columns();
  const double positions = image ? static_cast<double>(rows) * columns : tokens;
  // 2x2 pooling with stride 2 in ceil mode sits between conv1 and conv2 on images.
  const double pooled = image ? static_cast<double>((rows + 1) / 2) * ((columns + 1) / 2) : tokens;
  const double taps = rows == 1 ? 3 : 9;
  return positions * spec.hidden * e.embed + positions * taps * e.embed * e.c1 + pooled * taps * e.c1 * e.c2;
}

}  // namespace

Ledger ledger_for(const ModelSpec& spec, int tokens) {
  const double n = tokens, hidden = spec.hidden, mixed = spec.attention_width(), lstm = spec.policy_hidden;
  Ledger ledger;
  if (spec.modality == Modality::image) ledger.embed = (n - spec.prefix_tokens) * spec.patch_elems() * hidden;
  if (spec.modality == Modality::text) ledger.embed = n * spec.word_width * hidden;
  for (const LayerMap& map : layer_maps(spec)) {
    const double in = map.in, out = map.outputs();
    ledger.layer += n * (map.rank > 0 ? map.rank * (in + out) : in * out);
  }
  ledger.layer += spec.attention == Attention::linear ? 2 * n * mixed * spec.head_dim()
                                                      : 2 * attention_pairs(n, spec.attention_window) * mixed;
  ledger.extractor = extractor_macs(spec, n);
  ledger.policy_init = lstm * (2 * spec.extractor.c2 + 1);
  ledger.policy_step = 4 * lstm * (kPolicyInputs + lstm) + 2 * lstm;
  ledger.exit_head = spec.layers > 1 ? head_macs(spec, 1) : 0;
  ledger.task_head = head_macs(spec, spec.layers);
  return ledger;
}

double full_depth_macs(const ModelSpec& spec, int tokens) {
  const Ledger ledger = ledger_for(spec, tokens);
  return ledger.embed + spec.layers * ledger.layer + ledger.task_head;
}

}  // namespace fathom
