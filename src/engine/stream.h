// Stream: throughput beside Session's latency. Inputs are submitted as they come, wait each before its next layer, and
// leave the moment they stop; every layer runs on all that wait for it, old and new together, so that late layers,
// which few inputs reach, still run on many rows.
//   while (more() || stream.held() > 0) {
//     if (stream.room() > 0 && more()) FATHOM_TRY(auto taken, stream.submit(next_batch()));   // takes what there is
//     room for const std::size_t n = stream.drain(answers);                                             // runs until
//     some are done
//   }
// A Stream holds at most SessionLimits::max_batch inputs, from submit() until drain() hands them out: that bounds its
// memory and is its back-pressure. Results are bit-equal to Session::run of each input alone, whatever else is in the
// stream. After create() nothing is allocated (but to refuse), no lock is taken but the pool's, nothing is looked up.
// Thread rule: one thread at a time; Streams and Sessions may share Plan and Runtime.
#pragma once

#include "engine/engine.h"

namespace fathom::engine {

// Inputs taken get consecutive tickets.
struct Taken {
  std::uint64_t first_ticket = 0;
  std::size_t count = 0;
};

struct Finished {
  std::uint64_t ticket = 0;
  Prediction prediction;
};

class Stream {
 public:
  // One way for all inputs: `options` as of Session::run, but not Mode::trace; Mode::masks takes its masks with each
  // submit. Errors: as Session::create and Session::run.
  static Result<Stream> create(std::shared_ptr<const Plan> plan, Runtime& runtime, const SessionLimits& limits,
                               const RunOptions& options = {});
  Stream(Stream&&) noexcept;
  Stream& operator=(Stream&&) noexcept;
  ~Stream();

  // Takes the first inputs of `batch`, as many as there is room for (0: drain first), and embeds them; nothing of the
  // batch is needed afterwards. Errors: as Session::run, naming the input; then none is taken, and those not taken are
  // not looked at.
  Result<Taken> submit(const Batch& batch, std::span<const std::uint64_t> masks = {});

  // Hands out finished inputs (some perhaps without an answer: Prediction::no_answer), in no given order; while none is
  // finished, runs layers. Returns how many; 0: none is held, or `out` is empty. Call submit between calls: the more
  // inputs wait, the more rows a layer runs on.
  std::size_t drain(std::span<Finished> out);
  // The same until all inputs held are handed out or `out` is full: for when no more will come.
  std::size_t finish(std::span<Finished> out);

  // Runs one layer on all inputs that wait for it; false: none waits.
  bool step();

  std::size_t held() const;  // inputs submitted and not handed out
  std::size_t room() const;
  std::size_t buffer_bytes() const;  // as Session's
  double decision_seconds() const;   // as Session's
  ResidencyReport residency() const;

 private:
  struct State;
  explicit Stream(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace fathom::engine
