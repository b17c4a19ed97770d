// The training loop of a trunk, whatever its loss: from scratch (scratch_learner.h) or a checkpoint's (tuning.h).
// AdamW, linear warm-up and decay, gradient clipping. Every random draw (order, dropout) is a pure function of seed and
// step, and a batch is always cut into the same shards whatever the threads: a resumed run ends in the same bits.
#pragma once

#include <csignal>

#include "train/checkpoint.h"
#include "train/learner.h"
#include "train/metrics.h"
#include "train/prepare.h"

namespace fathom::train {

// Ctrl-C: while a stage polls (Interruptible), the handler sets `stop_requested` and the stage ends at the next safe
// point with `cancelled`; elsewhere the program may end at once, because finished stages are on disk.
extern volatile std::sig_atomic_t stop_requested, stop_polled;
struct Interruptible {
  Interruptible() { stop_polled = 1; }
  ~Interruptible() { stop_polled = 0; }
  Interruptible(const Interruptible&) = delete;
  Interruptible& operator=(const Interruptible&) = delete;
};

struct TrunkRun {
  const Encoded& train;
  const Encoded& tune;
  Schedule schedule;
  std::uint64_t seed = 1;
  int threads = 1;
  std::int64_t checkpoint_every = 200;
  bool progress = false;
  bool labelled = true;  // train_accuracy means something
};

struct TrunkFacts {
  double tune_accuracy = 0, train_accuracy = 0;  // of the returned weights; the latter on up to 2,000 rows
  std::int64_t best_step = 0;
};

// Trains in place. Resumes from `checkpoints` ("trunk") when there is a state.
Result<TrunkFacts> train_trunk(Learner& learner, const TrunkRun& run, const Checkpoints& checkpoints, Metrics& metrics);

// Rows of each batch: seeded order per epoch; texts of like length share a batch (sorted within pools of 16 batches).
class BatchOrder {
 public:
  BatchOrder(const Encoded& data, std::int64_t batch, std::uint64_t seed);
  torch::Tensor rows(std::int64_t step);  // [batch] int64

 private:
  void deal(std::int64_t epoch);
  torch::Tensor lengths_;
  std::int64_t count_, batch_;
  std::uint64_t seed_;
  bool by_length_ = false;
  std::int64_t epoch_ = -1;
  std::vector<std::int64_t> order_;
};

double scheduled_rate(const Schedule& schedule, std::int64_t step);  // step: 0-based

}  // namespace fathom::train
