// What train/trunk.h trains: modules that give the loss of some rows, on one thread. A replica shares the values and
// has gradients of its own, so that the shards of a batch can run side by side.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "train/backbone.h"

namespace fathom::train {

// Where in the run a shard stands; randomness is a function of this alone.
struct Place {
  std::int64_t step = 0, steps = 1, shard = 0, batch = 1;  // batch: rows of the whole step
  std::uint64_t seed = 1;
  std::uint64_t stream() const { return static_cast<std::uint64_t>(step * 64 + shard); }
};

// The optimiser's step that has come; it counts from 0.
struct UpdateAt {
  std::int64_t step = 0, steps = 1;
};

class Learner {
 public:
  virtual ~Learner() = default;
  virtual std::unique_ptr<Learner> replica() = 0;
  virtual FlatParameters& parameters() = 0;
  virtual void set_dropout(double share) = 0;
  // part: `rows` of the training data. Sum of its rows' losses over place.batch, ready for backward().
  virtual torch::Tensor loss(const Encoded& part, const torch::Tensor& rows, const Place& place) = 0;
  virtual void before_update() {
  }  // the gradients of all shards are in parameters(): to change where something must stay as it is
  virtual void after_update(const UpdateAt&) {}
  virtual std::map<std::string, torch::Tensor> kept() const {
    return {};
  }  // flat as the values: what a resumed run needs besides them, filled in place
  virtual double accuracy(const Encoded& data) = 0;  // of the last exit, evaluation mode
  virtual std::int64_t row_floats() const = 0;       // tokens x width of one row
};

}  // namespace fathom::train
