// Plan and Session: a Model and a Policy compiled for one machine, and run on inputs.
// Plan: immutable, shared; all checks happen when it is compiled (weights packed or mapped, kernels resolved, MACs
// counted). Session: move-only; owns every buffer; one thread at a time. Runtime: threads and kernel tier, passed,
// never global. After a Session exists, run() allocates nothing, takes no lock but the pool's try-lock, looks nothing
// up. Results are bit-equal alone or in any batch, for any thread count, within a tier, and whatever rounding the
// calling thread has set (base/float_environment.h). Needs 64 KB of the caller's stack.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/cpu.h"
#include "base/file.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "kernels/table.h"
#include "model/model.h"
#include "policy/policy.h"

namespace fathom::engine {

struct RuntimeOptions {
  std::string tier;                // "" or "auto": best
  int threads = 0;                 // 0: as many as base/cores.h finds worth it
  std::size_t memory_budget = 0;   // bytes of layers' packed weights that a session holds in memory; 0: all of them
  bool forget_evicted = false;     // with a budget: layers that leave memory leave the system's page cache too
  Weights weights = Weights::map;  // copy: read into memory, so that a file cut short in place cannot end the process
  bool trust_packed = false;       // packed weights and word rows are not compared with their hashes at first use
};

class Runtime {
 public:
  // Errors: usage; unsupported, a tier that is not here; limit, a thread that cannot be started.
  static Result<std::unique_ptr<Runtime>> create(const RuntimeOptions& options);
  ThreadPool& pool() { return *pool_; }
  const kernels::Table& kernels() const { return *kernels_; }
  std::size_t memory_budget() const { return memory_budget_; }
  bool forget_evicted() const { return forget_evicted_; }
  Weights weights() const { return weights_; }
  bool trust_packed() const { return trust_packed_; }

 private:
  Runtime(const kernels::Table& kernels, std::unique_ptr<ThreadPool> pool, const RuntimeOptions& options)
      : kernels_(&kernels),
        memory_budget_(options.memory_budget),
        forget_evicted_(options.forget_evicted),
        weights_(options.weights),
        trust_packed_(options.trust_packed),
        pool_(std::move(pool)) {}
  const kernels::Table* kernels_;
  std::size_t memory_budget_;
  bool forget_evicted_;
  Weights weights_;
  bool trust_packed_;
  std::unique_ptr<ThreadPool> pool_;
};

class Plan {
 public:
  // Packs the weights for runtime's tier, or maps <bundle>/packed.fp32.<tier>.bin when it is there and matches; writes
  // it when it can. A plan without decision parts (backbone_only) only runs hidden states.
  static Result<std::shared_ptr<const Plan>> compile(std::shared_ptr<const Model> model, const Runtime& runtime);
  ~Plan();
  const ModelSpec& spec() const;
  const policy::Policy& policy() const;
  bool decides() const;  // it has exits and a policy; else every input runs at full depth
  // Bytes of packed weights that inputs stopped at `depth` or before read: embedding (text: without the word table),
  // layers, heads, decision.
  std::size_t weight_bytes(int depth) const;
  struct Parts;  // private to the engine room
  const Parts& parts() const { return *parts_; }

 private:
  explicit Plan(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

// Inputs, packed. Text: ids and offsets[count + 1]. Image: pixels [count, height, width, 3] bytes of the spec's size,
// or values, for callers that have them normalised already.
struct Batch {
  std::size_t count = 0;
  std::span<const std::int32_t> ids, offsets;
  const std::uint8_t* pixels = nullptr;
  std::span<const std::int32_t> types;  // text: token type of each id; empty: all 0
  const float* values = nullptr;  // image, instead of pixels: [count, 3, height, width], mean and deviation taken out
};

enum class Mode {
  adaptive,    // the bundle's policy, at its lambda or the one in RunOptions
  full_depth,  // every layer, last head, no decision computed: the static model
  fixed_exit,  // layers 1..exit, that exit's head, no decision
  masks,       // the given trajectory for each input, last head, no decision
  trace,       // every layer, every head, every score: for calibration and eval
};

struct RunOptions {
  Mode mode = Mode::adaptive;
  float lambda = -1.0f;  // adaptive: >= 0 overrides the bundle's
  int score = -1;        // adaptive: >= 0 overrides the bundle's Score; only what the score needs is computed
  int max_depth = 0;     // adaptive: > 0: an input that reaches this layer stops at its exit, whatever the score
  int exit = 0;          // fixed_exit
  std::span<const std::uint64_t> masks;  // masks: bit l-1 set: layer l runs
  // adaptive, a Session's: [count, layers - 1], compared with lambda in place of the computed scores, which cost what
  // they cost: the decisions of another model, replayed.
  std::span<const float> replay = {};
  bool profile_decision = false;  // adaptive: also accumulate Session::decision_seconds (costs two clock reads a step)
};

struct Prediction {
  std::int32_t label = 0;
  float confidence = 0;          // calibrated probability of the label: of logits / the exit's temperature
  float raw_confidence = 0;      // probability of the label by the logits as they are
  std::int32_t depth = 0;        // layers run
  std::uint64_t trajectory = 0;  // bit l-1: layer l ran
  double macs = 0;               // everything executed, decision included
  double decision_macs = 0;      // of these: extractor, trees, LSTM, heads of exits not taken
  // > 0: the first exit whose logits (or probabilities) were not finite. There is no answer then: label -1, confidence
  // 0.
  std::int32_t no_answer = 0;
};
// What is said of such an input. corrupt_bundle.
Error no_answer(const Prediction& prediction, const std::string& input);

struct SessionLimits {
  std::size_t max_batch = 32;
  std::size_t max_tokens = 0;  // of one input; 0: the spec's
};

// Rows that a map of a layer reads: count rows of `width` values, `stride` apart.
struct RowsRead {
  enum class Map { qkv, o, f1, f2 };
  std::size_t layer = 0;  // 0-based
  Map map = Map::qkv;
  const float* rows = nullptr;
  std::size_t stride = 0, count = 0, width = 0;
};
using Watcher = std::function<void(const RowsRead&)>;

// What a session under a memory budget did (residency.h says what the words mean); all 0 without one.
struct ResidencyReport {
  std::size_t budget_bytes = 0, held_bytes = 0, most_held_bytes = 0;
  std::uint64_t hits = 0, read_ahead = 0, misses = 0, evictions = 0;
  double stall_seconds = 0;  // waited for layers
};

class Session {
 public:
  // Errors: usage, a memory budget below the largest layer; unsupported, a budget for weights that are not mapped from
  // a file.
  static Result<Session> create(std::shared_ptr<const Plan> plan, Runtime& runtime, const SessionLimits& limits);
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  // Runs `batch`; predictions.size() >= batch.count. Errors: invalid_argument naming the input (ids or types out of
  // range, offsets not rising, too many or too long inputs): nothing ran then; corrupt_bundle, an input without an
  // answer (Prediction::no_answer): the predictions of all others are written.
  Status run(const Batch& batch, const RunOptions& options, std::span<Prediction> predictions);

  // Every layer, for training exits on a frozen model: [CLS; mean over all tokens] after layers 1..L-1 into `states`
  // [L - 1][count][2 hidden], the last head's logits into `logits` [count][classes], and, unless it is empty, h^0 into
  // `start` [total tokens][hidden]. Errors: as run(); unsupported without a last head.
  Status run_states(const Batch& batch, std::span<float> states, std::span<float> logits, std::span<float> start = {});

  // The first `layers` layers; shows `see` the rows that each of their maps is about to read. Allocates. Errors: as
  // run(); unsupported, layers not in fp32.
  Status watch(const Batch& batch, int layers, const Watcher& see);

  // After run(): logits of the exit taken [count, classes]; valid until the next run.
  std::span<const float> logits() const;
  // After Mode::trace: [count, layers, classes]; scores [count, layers - 1] by Score (empty if that score has no
  // parts).
  std::span<const float> trace_logits() const;
  std::span<const float> trace_scores(policy::Score score) const;
  std::span<const float> trace_norms() const;  // [count, layers]: L2 norm of the pooled state at each exit
  // After full_depth or backbone runs: hidden states [total tokens, hidden], input order.
  std::span<const float> hidden() const;
  Status run_backbone(const Batch& batch);  // hidden states only: benchmarks and feature extraction
  std::size_t buffer_bytes() const;         // that the largest batch could touch; untouched ones cost no memory
  double decision_seconds() const;          // accumulated while profile_decision was set
  void reset_decision_seconds();
  ResidencyReport residency() const;

  struct State;

 private:
  explicit Session(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace fathom::engine
