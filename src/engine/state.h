// Session::State: every buffer a Session or Stream touches, planned once for (max_batch, max_tokens). Private to the
// engine room. Words: a place holds one input from its start to its prediction (a Session's place i is input i of the
// batch); a slot is one of the inputs that the next layer may run on. Slots rise by place; slot s owns rows starts[s]
// .. starts[s] + lengths[s] of x. A Session's rows are contiguous and close up when an input leaves; a Stream's stay
// where their place is.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "engine/outlook.h"
#include "engine/parts.h"
#include "engine/residency.h"
#include "engine/word_cache.h"
#include "tensor/tensor.h"

namespace fathom::engine {

// Rows as an int8 map reads them: [rows, int8_row_bytes(width)] and what turns them back into floats, one a row.
struct QuantizedRows {
  std::uint8_t* q = nullptr;
  float* scale = nullptr;
  std::int32_t* zero = nullptr;
};

// Working space of one worker for a group of sequences going through one layer.
struct LayerScratch {
  float* gathered = nullptr;   // rows of sequences that do not touch in x
  float* narrow = nullptr;     // [rows, hidden]: normed input, then attention's output, then normed input again
  float* wide = nullptr;       // [rows, max(3 hidden, ffn)]: q, k, v, then the FFN's inner state
  float* inner = nullptr;      // [rows, largest rank]: between the two factors of a map
  float* attention = nullptr;  // attention_stride floats; worker 0's begins the block of all workers
  std::int32_t* offsets = nullptr;
  QuantizedRows quantized;    // int8 only: what the next map reads
  std::size_t end_chunk = 0;  // of a layer: this worker runs the chunks from where the one before ends up to here
};

// Working space of one worker for one input's extractor or patches.
struct InputScratch {
  float *patches = nullptr, *proj = nullptr, *h1 = nullptr, *pooled = nullptr, *h2 = nullptr, *columns = nullptr;
  float* most = nullptr;
  double *sum = nullptr, *squares = nullptr;
  QuantizedRows quantized;  // int8 only: patches
};

// What the calibrate split did at one threshold of the bundle's own score.
struct ReachPoint {
  float lambda = 0;
  std::vector<double> exits, shares;  // of inputs that stop at exit 1..L; that run layer 1..L
};

struct Session::State {
  std::shared_ptr<const Plan> plan;
  const Plan::Parts* parts = nullptr;
  const kernels::Table* table = nullptr;
  ThreadPool* pool = nullptr;
  std::unique_ptr<Residency> residency;  // with a memory budget
  std::unique_ptr<Outlook> outlook;      // with a memory budget, where inputs are decided
  std::vector<ReachPoint> reach;         // with a memory budget: what the bundle knows about depth, by threshold
  bool seeded = false;                   // residency and outlook, by the first course

  // Limits and planned sizes.
  std::size_t max_batch = 0, max_tokens = 0, max_rows = 0, chunk_rows = 0, attention_stride = 0;
  std::vector<Ledger> ledgers;  // by tokens; image: one
  Buffer<float> floats;         // the arena all float pointers below point into
  Buffer<std::int32_t> ints;
  Buffer<double> doubles;
  Buffer<std::uint8_t> bytes;
  float* gemm_scratch = nullptr;    // table->gemm_scratch floats a thread
  Buffer<std::uint64_t> masks;      // [batch] trajectory by place: planned at the start, cut where the input stops
  Buffer<policy::Signals> signals;  // [batch]
  std::vector<LayerScratch> layer_scratch;  // one a thread
  std::vector<InputScratch> input_scratch;  // one a thread
  std::vector<WordCache> word_caches;       // one a thread; text

  // Rows.
  float* x = nullptr;                   // [rows, hidden]
  const std::int32_t* ids = nullptr;    // the caller's
  const std::int32_t* types = nullptr;  // the caller's, or null: all 0
  std::int32_t* positions = nullptr;    // [rows]
  std::int32_t* slots = nullptr;        // [batch]: place of each slot
  std::int32_t* starts = nullptr;       // [batch]
  std::int32_t* lengths = nullptr;      // [batch]
  std::int32_t* picked = nullptr;       // [batch]: slots whose head is wanted, or that stop
  std::int32_t* sub_starts = nullptr;   // [batch]: the subset a layer runs on
  std::int32_t* sub_lengths = nullptr;
  std::int32_t* chunk_ends = nullptr;  // [batch]

  // Heads, one row a picked slot; p and previous one row a slot.
  float *pooled = nullptr, *head_normed = nullptr, *head_inner = nullptr, *head_logits = nullptr;
  float *p = nullptr, *previous = nullptr;

  // Policy, one row a slot: [six signals, observed, h], cell state, gates, [stop, skip].
  float *policy_in = nullptr, *policy_start = nullptr, *cell = nullptr, *gates = nullptr, *policy_out = nullptr;
  double* features = nullptr;   // [batch, features + 1], by place
  double* predicted = nullptr;  // [batch]: l_pred of `huber`, by place

  // Results by place.
  float *logits = nullptr, *trace_logits = nullptr, *trace_norms = nullptr;
  float* trace_scores[4] = {};
  bool traced_scores[4] = {};

  std::size_t inputs = 0, rows = 0, active = 0;  // of the current run: inputs and their tokens; slots still running
  Prediction* out = nullptr;                     // by place: a Session's caller's, or a Stream's own
  double decision_seconds = 0;
  std::optional<Error> fault;  // of the current run: weights that are not what was packed

  // Whether a unit of the plan is what was packed; if not, `fault` says so.
  bool may_use(std::size_t unit) {
    if (const Status good = parts->first_use(unit); !good && !fault) fault = good.error();
    return !fault;
  }
  Status take_fault() {
    if (!fault) return {};
    Error error = std::move(*fault);
    fault.reset();
    return error;
  }
  std::int32_t start_of_place(std::int32_t place) const {
    return place * static_cast<std::int32_t>(max_tokens);
  }  // a Stream's
  std::size_t buffer_bytes() const {
    return floats.size() * sizeof(float) + ints.size() * sizeof(std::int32_t) + doubles.size() * sizeof(double) +
           bytes.size() + masks.size() * sizeof(std::uint64_t) + signals.size() * sizeof(policy::Signals);
  }
  float* gemm_scratch_of(std::size_t worker) const { return gemm_scratch + worker * table->gemm_scratch; }
  const Ledger& ledger(std::size_t input_tokens) const {
    return ledgers.size() == 1 ? ledgers[0] : ledgers[input_tokens];
  }
};

// A state with every buffer. Errors: invalid_argument, limit, out_of_memory.
Result<std::unique_ptr<Session::State>> make_state(std::shared_ptr<const Plan> plan, Runtime& runtime,
                                                   const SessionLimits& limits);
// Slots 0..count-1 are the inputs of a checked batch in order: packed, or each at its own place (rising).
void lay_out(Session::State& state, const Batch& batch, std::span<const std::int32_t> places = {});
void open_predictions(Session::State& state);  // of all slots: nothing but the embedding's cost

}  // namespace fathom::engine
