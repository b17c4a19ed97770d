// Stage 1: exit heads on a frozen trunk, distilled without labels from the model's own last logits (KL, T = 2).
// Pooled states of every layer are computed once into a mapped file; all heads of one width train as one batched
// module. The task head stays as stage 0 left it. Source: docs/adr/0007.
#pragma once

#include <filesystem>

#include "train/backbone.h"
#include "train/checkpoint.h"
#include "train/metrics.h"
#include "train/prepare.h"

namespace fathom::train {

inline constexpr double kDistilTemperature = 2.0;  // of everything that is taught

struct HeadsSchedule {
  std::int64_t rows = 30000, batch = 128;
  double epochs = 15, rate = 1e-3, decay = 0.05, dropout = 0.2, temperature = kDistilTemperature;
};

// Pooled states of exits 1..layers-1, [exits, n, pooled], and the last logits of the same rows, [n, classes].
struct Pooled {
  torch::Tensor states, teacher;
};

struct HeadsRun {
  const Encoded& train;
  const Encoded& tune;
  HeadsSchedule schedule;
  std::uint64_t seed = 1;
  std::filesystem::path scratch;  // folder for the file of pooled states; empty: memory
  bool progress = false;
};

// Trains exits 1..layers-1 of `heads`. Every exit keeps the epoch with the lowest divergence on tune: a trunk that has
// memorised its training rows gives heads there nothing true to learn, and the tune rows notice.
// Resumes a finished stage from `checkpoints` ("heads").
Status train_heads(Backbone& backbone, Heads& heads, const HeadsRun& run, const Checkpoints& checkpoints,
                   Metrics& metrics);

// The same from states that were computed elsewhere (train/frozen.h).
struct PooledRun {
  const Pooled& train;
  const Pooled& tune;
  HeadsSchedule schedule;
  std::uint64_t seed = 1;
  bool progress = false;
};
Status train_heads_on(const ModelSpec& spec, Heads& heads, const PooledRun& run, const Checkpoints& checkpoints,
                      Metrics& metrics);

// T^2 KL(teacher || logits) at temperature T of every row: [..., C] -> [...].
torch::Tensor row_divergence(const torch::Tensor& logits, const torch::Tensor& teacher, double temperature);

// Accuracy of every exit against `labels`: [layers].
std::vector<double> exit_accuracies(const torch::Tensor& logits, const torch::Tensor& labels);

}  // namespace fathom::train
