// Session: plans its buffers, checks every batch and request, then hands over to batching.cpp.
#include <algorithm>
#include <cstdio>
#include <new>

#include "engine/batching.h"
#include "engine/decision.h"
#include "engine/forward.h"
#include "kernels/parallel.h"

namespace fathom::engine {
namespace {

// Hands out 64-byte aligned pieces of one buffer. Run once without memory to learn the size, then with it.
template <class T>
class Carver {
 public:
  explicit Carver(T* base) : base_(base) {}
  T* take(std::size_t count) {
    constexpr std::size_t kLine = 64 / sizeof(T);
    T* piece = base_ == nullptr ? nullptr : base_ + used_;
    used_ += (count + kLine - 1) / kLine * kLine;
    return piece;
  }
  std::size_t used() const { return used_; }

 private:
  T* base_;
  std::size_t used_ = 0;
};

// One Carver for each kind of number.
struct Carvers {
  Carver<float> floats;
  Carver<std::int32_t> ints;
  Carver<double> doubles;
  Carver<std::uint8_t> bytes;
};

QuantizedRows carve_quantized(Carvers& carvers, std::size_t rows, std::size_t width) {
  return {carvers.bytes.take(rows * kernels::int8_row_bytes(width)), carvers.floats.take(rows), carvers.ints.take(rows)};
}

void carve_layers(Session::State& st, Carvers& carvers) {
  auto& [floats, ints, doubles, bytes] = carvers;
  const Plan::Parts& parts = *st.parts;
  float* attention = floats.take(st.layer_scratch.size() * st.attention_stride);
  for (std::size_t w = 0; w < st.layer_scratch.size(); ++w) {
    LayerScratch& scratch = st.layer_scratch[w];
    scratch.gathered = floats.take(st.chunk_rows * parts.hidden);
    scratch.narrow = floats.take(st.chunk_rows * parts.hidden);
    scratch.wide = floats.take(st.chunk_rows * std::max(3 * parts.hidden, parts.ffn));
    scratch.attention = attention == nullptr ? nullptr : attention + w * st.attention_stride;
    scratch.offsets = ints.take(st.max_batch + 1);
    if (parts.model->precision() == Precision::int8) scratch.quantized = carve_quantized(carvers, st.chunk_rows, std::max(parts.hidden, parts.ffn));
  }
}

void carve_inputs(Session::State& st, Carvers& carvers) {
  auto& [floats, ints, doubles, bytes] = carvers;
  const Plan::Parts& parts = *st.parts;
  const Extractor& e = parts.extractor;
  const bool text = parts.spec.modality == Modality::text;
  const std::size_t positions = text ? st.max_tokens : e.rows * e.columns;
  const std::size_t second = text ? st.max_tokens : e.pooled_rows * e.pooled_columns;
  for (InputScratch& scratch : st.input_scratch) {
    if (!text) scratch.patches = floats.take(positions * parts.embedding.patch.k);
    if (!text && parts.model->precision() == Precision::int8) scratch.quantized = carve_quantized(carvers, positions, parts.embedding.patch.k);
    if (!parts.decides) continue;
    scratch.proj = floats.take((positions + 2) * e.proj.n);
    scratch.h1 = floats.take((positions + 2) * e.conv1.n);
    scratch.h2 = floats.take(second * e.conv2.n);
    scratch.most = floats.take(e.conv1.n);
    scratch.sum = doubles.take(e.conv1.n);
    scratch.squares = doubles.take(e.conv1.n);
    if (text) continue;
    scratch.pooled = floats.take(second * e.conv1.n);
    scratch.columns = floats.take(std::max(positions * e.conv1.k, second * e.conv2.k));
  }
}

void carve_decision(Session::State& st, Carvers& carvers) {
  auto& [floats, ints, doubles, bytes] = carvers;
  const Plan::Parts& parts = *st.parts;
  if (!parts.answers) return;
  const std::size_t n = st.max_batch, classes = parts.classes, layers = parts.layers.size(), width = parts.net.width;
  st.pooled = floats.take(n * parts.head_input);
  st.head_normed = floats.take(n * parts.head_input);
  st.head_inner = floats.take(n * parts.head_width);
  st.head_logits = floats.take(n * classes);
  st.p = floats.take(n * classes);
  st.logits = floats.take(n * classes);
  if (!parts.decides) return;
  st.previous = floats.take(n * classes);
  st.policy_start = floats.take(n * parts.net.init.k);
  st.policy_in = floats.take(n * parts.net.lstm.k);
  st.cell = floats.take(n * width);
  st.gates = floats.take(n * 4 * width);
  st.policy_out = floats.take(n * 2);
  st.trace_logits = floats.take(n * layers * classes);
  st.trace_norms = floats.take(n * layers);
  for (float*& scores : st.trace_scores) scores = floats.take(n * (layers - 1));
  st.features = doubles.take(n * (parts.features + 1));
  st.predicted = doubles.take(n);
}

void carve(Session::State& st, Carvers& carvers) {
  auto& [floats, ints, doubles, bytes] = carvers;
  st.x = floats.take(st.max_rows * st.parts->hidden);
  carve_layers(st, carvers);
  carve_inputs(st, carvers);
  carve_decision(st, carvers);
  st.positions = ints.take(st.max_rows);
  for (std::int32_t** list : {&st.slots, &st.starts, &st.lengths, &st.picked, &st.sub_starts, &st.sub_lengths, &st.chunk_ends})
    *list = ints.take(st.max_batch);
}

void plan_buffers(Session::State& st) {
  Carvers sizes{Carver<float>(nullptr), Carver<std::int32_t>(nullptr), Carver<double>(nullptr), Carver<std::uint8_t>(nullptr)};
  carve(st, sizes);
  st.floats = Buffer<float>(sizes.floats.used());
  st.ints = Buffer<std::int32_t>(sizes.ints.used());
  st.doubles = Buffer<double>(sizes.doubles.used());
  st.bytes = Buffer<std::uint8_t>(sizes.bytes.used());
  st.masks = Buffer<std::uint64_t>(st.max_batch);
  st.signals = Buffer<policy::Signals>(st.max_batch);
  Carvers pieces{Carver<float>(st.floats.data()), Carver<std::int32_t>(st.ints.data()), Carver<double>(st.doubles.data()),
                 Carver<std::uint8_t>(st.bytes.data())};
  carve(st, pieces);
}

Error refuse(const std::string& message, const std::string& hint) { return {Code::invalid_argument, message, hint}; }

std::string number(std::size_t value) { return std::to_string(value); }

Status check_text(const Session::State& st, const Batch& batch) {
  const ModelSpec& spec = st.parts->spec;
  if (batch.offsets.size() < batch.count + 1)
    return refuse("batch: expected " + number(batch.count + 1) + " offsets, got " + number(batch.offsets.size()),
                  "offsets hold the start of each input and the end of the last");
  if (batch.offsets[0] < 0) return refuse("input 0: its offset is below 0", "offsets index the ids");
  for (std::size_t i = 0; i < batch.count; ++i) {
    const std::int32_t begin = batch.offsets[i], end = batch.offsets[i + 1];
    const std::string input = "input " + number(i) + ": ";
    if (end <= begin)
      return refuse(input + "offsets must rise, got " + std::to_string(begin) + " then " + std::to_string(end),
                    "every input needs at least one token");
    if (static_cast<std::size_t>(end) > batch.ids.size())
      return refuse(input + "ends at id " + std::to_string(end) + " of " + number(batch.ids.size()),
                    "the last offset is the number of ids");
    const std::size_t tokens = static_cast<std::size_t>(end) - static_cast<std::size_t>(begin);
    if (tokens > st.max_tokens)
      return refuse(input + "expected at most " + number(st.max_tokens) + " tokens, got " + number(tokens),
                    "truncate it, or create the session with a larger max_tokens");
    for (std::int32_t t = begin; t < end; ++t)
      if (const std::int32_t id = batch.ids[static_cast<std::size_t>(t)]; id < 0 || id >= spec.vocab)
        return refuse(input + "token " + std::to_string(t - begin) + ": expected an id in 0.." +
                          std::to_string(spec.vocab - 1) + ", got " + std::to_string(id),
                      "encode with the bundle's own tokenizer");
  }
  return {};
}

// A model without a table of types reads pairs by their separators alone: types then say nothing.
Status check_types(const Session::State& st, const Batch& batch) {
  const int known = st.parts->spec.token_types;
  if (batch.types.empty() || known == 0) return {};
  if (batch.types.size() != batch.ids.size())
    return refuse("batch: expected " + number(batch.ids.size()) + " token types, got " + number(batch.types.size()), "one for each id, or none");
  for (std::size_t i = 0; i < batch.types.size(); ++i)
    if (batch.types[i] < 0 || batch.types[i] >= known)
      return refuse("id " + number(i) + ": expected a token type in 0.." + std::to_string(known - 1) + ", got " + std::to_string(batch.types[i]),
                    "encode with the bundle's own tokenizer");
  return {};
}

Status check_batch(const Session::State& st, const Batch& batch) {
  if (batch.count > st.max_batch)
    return refuse("batch: expected at most " + number(st.max_batch) + " inputs, got " + number(batch.count),
                  "create the session with a larger max_batch");
  if (batch.count == 0) return {};
  if (st.parts->spec.modality == Modality::text) {
    FATHOM_TRY_VOID(check_text(st, batch));
    return check_types(st, batch);
  }
  if (batch.pixels == nullptr && batch.values == nullptr) return refuse("batch: an image model needs pixels, got none", "give [count, height, width, 3] bytes");
  return {};
}

Status check_masks(const Session::State& st, const Batch& batch, std::span<const std::uint64_t> masks) {
  if (masks.size() < batch.count)
    return refuse("masks: expected " + number(batch.count) + ", got " + number(masks.size()), "one trajectory for each input");
  const int layers = st.parts->spec.layers;
  for (std::size_t i = 0; i < batch.count; ++i)
    if (layers < 64 && masks[i] >> layers != 0)
      return refuse("input " + number(i) + ": its mask names layers above " + std::to_string(layers),
                    "bit l-1 stands for layer l");
  return {};
}

Status check_options(const Session::State& st, const Batch& batch, const RunOptions& options) {
  const Plan::Parts& parts = *st.parts;
  if (!parts.answers)
    return Error{Code::unsupported, "this plan is a backbone alone: it has no heads", "call run_backbone, or load a bundle"};
  const bool plain = options.mode == Mode::adaptive && options.score < 0 && options.lambda < 0.0f;  // as the bundle says: full depth
  const bool last = plain || options.mode == Mode::full_depth || options.mode == Mode::masks ||
                    (options.mode == Mode::fixed_exit && options.exit == parts.spec.layers);
  if (!parts.decides && !last)
    return Error{Code::unsupported, "this model has no exits yet: it runs at full depth only", "make it adaptive with `fathom fit --from`"};
  if (options.mode == Mode::fixed_exit && (options.exit < 1 || options.exit > parts.spec.layers))
    return refuse("exit: expected 1.." + std::to_string(parts.spec.layers) + ", got " + std::to_string(options.exit),
                  "exit l reads the state after layer l");
  if (options.max_depth < 0 || options.max_depth > parts.spec.layers)
    return refuse("max_depth: expected 0 (no bound) to " + std::to_string(parts.spec.layers) + ", got " + std::to_string(options.max_depth), "");
  if (options.max_depth > 0 && options.mode == Mode::adaptive && (!parts.decides || (parts.policy.kind == policy::PolicyKind::gates && options.score < 0)))
    return Error{Code::unsupported, "a bound on depth needs a bundle that decides after each layer", "fit it with the default recipe"};
  if (options.mode == Mode::masks) return check_masks(st, batch, options.masks);
  if (options.mode == Mode::adaptive && options.score >= 0) {
    if (options.score > 3)
      return refuse("score: expected 0..3 (confidence, predictor, policy, fused), got " + std::to_string(options.score), "");
    const auto score = static_cast<policy::Score>(options.score);
    const bool level = parts.policy.policy_reads_level && score == policy::Score::policy;
    if (!has_parts(parts, score) || (level && !parts.policy.predictor))
      return refuse(std::string("score '") + policy::score_name(score) + "': this bundle has no parts for it",
                    "its predictor or fusion is missing; use another score");
  }
  return {};
}

// Slots 0..count-1 are the inputs in order.
void lay_out(Session::State& st, const Batch& batch) {
  const bool text = st.parts->spec.modality == Modality::text;
  std::int32_t row = 0;
  for (std::size_t i = 0; i < batch.count; ++i) {
    const std::int32_t length = text ? batch.offsets[i + 1] - batch.offsets[i] : st.parts->spec.tokens();
    st.slots[i] = static_cast<std::int32_t>(i);
    st.starts[i] = row;
    st.lengths[i] = length;
    if (text)
      for (std::int32_t t = 0; t < length; ++t) st.positions[row + t] = t;
    row += length;
  }
  st.inputs = st.active = batch.count;
  if (st.residency) st.residency->start(batch.count);
  st.rows = static_cast<std::size_t>(row);
  st.ids = text ? batch.ids.data() + batch.offsets[0] : nullptr;
  st.types = text && !batch.types.empty() ? batch.types.data() + batch.offsets[0] : nullptr;
  std::fill(std::begin(st.traced_scores), std::end(st.traced_scores), false);
}

void dispatch(Session::State& st, const RunOptions& options) {
  const policy::Policy& policy = st.parts->policy;
  switch (options.mode) {
    case Mode::full_depth:
      return run_plain(st, st.parts->spec.layers);
    case Mode::fixed_exit:
      return run_plain(st, options.exit);
    case Mode::masks:
      std::copy_n(options.masks.begin(), st.inputs, st.masks.data());
      return run_masks(st);
    case Mode::trace:
      return run_trace(st);
    case Mode::adaptive:
      if (!st.parts->decides) return run_plain(st, st.parts->spec.layers);
      if (policy.kind == policy::PolicyKind::gates && options.score < 0) return run_gates(st, options.profile_decision);
      return run_adaptive(st, options.score >= 0 ? static_cast<policy::Score>(options.score) : policy.score,
                          options.lambda >= 0.0f ? options.lambda : policy.lambda, options.max_depth, options.profile_decision);
  }
}

std::string megabytes(std::size_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g MB", static_cast<double>(bytes) / 1e6);
  return text;
}

Status plan_residency(Session::State& st, const Runtime& runtime) {
  if (runtime.memory_budget() == 0) return {};
  const Plan::Parts& parts = *st.parts;
  if (!parts.weights.mapped())
    return Error{Code::unsupported, "memory budget: this model's packed weights are not mapped from a file, so layers cannot leave memory",
                 "let the bundle's folder be written once: the first start keeps the packed weights there"};
  std::size_t largest = 0;
  for (const auto& bytes : parts.layer_bytes) largest = std::max(largest, bytes.size());
  if (runtime.memory_budget() < largest)
    return Error{Code::usage, "memory budget: " + megabytes(runtime.memory_budget()) + ", and one layer takes " + megabytes(largest), "give at least that"};
  st.residency = std::make_unique<Residency>(parts.layer_bytes, runtime.memory_budget(), runtime.forget_evicted());
  return {};
}

Status plan_session(Session::State& st, Runtime& runtime, const SessionLimits& limits) {
  const Plan::Parts& parts = *st.parts;
  const std::size_t most = static_cast<std::size_t>(parts.spec.tokens());
  const bool text = parts.spec.modality == Modality::text;
  if (limits.max_batch == 0) return refuse("max_batch: expected at least 1, got 0", "");
  if (text && limits.max_tokens > most)
    return refuse("max_tokens: the model takes at most " + number(most) + ", got " + number(limits.max_tokens), "0 takes the model's");
  st.max_batch = limits.max_batch;
  st.max_tokens = text && limits.max_tokens > 0 ? limits.max_tokens : most;
  constexpr std::size_t kMostRows = std::size_t{1} << 27;
  if (st.max_batch > kMostRows / st.max_tokens)
    return Error{Code::limit, "session: " + number(st.max_batch) + " inputs of " + number(st.max_tokens) +
                                  " tokens pass " + number(kMostRows) + " rows", "lower max_batch or max_tokens"};
  st.max_rows = st.max_batch * st.max_tokens;
  st.chunk_rows = std::min(std::max(rows_per_chunk(parts.spec), st.max_tokens), st.max_rows);
  const std::size_t threads = static_cast<std::size_t>(runtime.pool().threads());
  st.layer_scratch.resize(threads);
  st.input_scratch.resize(threads);
  st.attention_stride = kernels::attention_scratch_stride(*st.table, st.max_tokens, static_cast<std::size_t>(parts.spec.head_dim()));
  if (!text) st.ledgers = {ledger_for(parts.spec, parts.spec.tokens())};
  for (std::size_t tokens = 0; text && tokens <= st.max_tokens; ++tokens)
    st.ledgers.push_back(ledger_for(parts.spec, static_cast<int>(tokens)));
  plan_buffers(st);
  return plan_residency(st, runtime);
}

}  // namespace

Session::Session(std::unique_ptr<State> state) : state_(std::move(state)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

Result<Session> Session::create(std::shared_ptr<const Plan> plan, Runtime& runtime, const SessionLimits& limits) {
  if (plan == nullptr) return refuse("Session::create: no plan", "compile one first");
  if (plan->parts().kernels != &runtime.kernels())
    return refuse(std::string("session: the plan was compiled for kernels '") + tier_name(plan->parts().kernels->tier) +
                      "', the runtime uses '" + tier_name(runtime.kernels().tier) + "'",
                  "compile the plan with this runtime");
  try {
    auto state = std::make_unique<State>();
    state->parts = &plan->parts();
    state->plan = std::move(plan);
    state->table = &runtime.kernels();
    state->pool = &runtime.pool();
    FATHOM_TRY_VOID(plan_session(*state, runtime, limits));
    return Session(std::move(state));
  } catch (const std::bad_alloc&) {
    return Error{Code::out_of_memory, "session: no memory for " + number(limits.max_batch) + " inputs",
                 "lower max_batch or max_tokens"};
  }
}

Status Session::run(const Batch& batch, const RunOptions& options, std::span<Prediction> predictions) {
  State& st = *state_;
  st.inputs = st.rows = 0;
  FATHOM_TRY_VOID(check_batch(st, batch));
  FATHOM_TRY_VOID(check_options(st, batch, options));
  if (predictions.size() < batch.count)
    return refuse("predictions: expected room for " + number(batch.count) + ", got " + number(predictions.size()), "");
  if (batch.count == 0) return {};
  lay_out(st, batch);
  st.out = predictions.data();
  for (std::size_t i = 0; i < batch.count; ++i) {
    st.out[i] = Prediction{};
    st.out[i].macs = st.ledger(static_cast<std::size_t>(st.lengths[i])).embed;
  }
  embed(st, batch);
  dispatch(st, options);
  st.out = nullptr;
  return {};
}

Status Session::run_backbone(const Batch& batch) {
  State& st = *state_;
  st.inputs = st.rows = 0;
  FATHOM_TRY_VOID(check_batch(st, batch));
  if (batch.count == 0) return {};
  lay_out(st, batch);
  embed(st, batch);
  run_layers(st, st.parts->spec.layers);
  return {};
}

Status Session::run_states(const Batch& batch, std::span<float> states, std::span<float> logits, std::span<float> start) {
  State& st = *state_;
  const Plan::Parts& parts = *st.parts;
  st.inputs = st.rows = 0;
  FATHOM_TRY_VOID(check_batch(st, batch));
  RunOptions options;
  options.mode = Mode::full_depth;
  FATHOM_TRY_VOID(check_options(st, batch, options));
  const std::size_t exits = parts.layers.size() - 1;
  if (states.size() < exits * batch.count * 2 * parts.hidden || logits.size() < batch.count * parts.classes)
    return refuse("run_states: no room for " + number(batch.count) + " inputs", "");
  if (batch.count == 0) return {};
  lay_out(st, batch);
  if (!start.empty() && start.size() < st.rows * parts.hidden) return refuse("run_states: no room for " + number(st.rows) + " rows of h^0", "");
  embed(st, batch);
  if (!start.empty()) std::copy_n(st.x, st.rows * parts.hidden, start.data());
  engine::run_states(st, states.data());
  std::copy_n(st.head_logits, batch.count * parts.classes, logits.data());
  return {};
}

Status Session::add_input_sums(const Batch& batch, InputSums& sums) {
  State& st = *state_;
  const Plan::Parts& parts = *st.parts;
  st.inputs = st.rows = 0;
  FATHOM_TRY_VOID(check_batch(st, batch));
  if (parts.model->precision() != Precision::fp32)
    return Error{Code::unsupported, "inputs of the maps are summed in fp32, and these layers are in " + std::string(precision_name(parts.model->precision())), "use the bundle it was made from"};
  FATHOM_CHECK(sums.exact.size() == parts.layers.size() * (3 * parts.hidden + parts.ffn), "input sums made for another spec");
  if (batch.count == 0) return {};
  lay_out(st, batch);
  embed(st, batch);
  for (std::size_t l = 0; l < parts.layers.size(); ++l) run_layer_watched(st, l, st.starts, st.lengths, st.active, st.rows, sums);
  sums.rows += st.rows;
  return {};
}

std::span<const float> Session::logits() const { return {state_->logits, state_->inputs * state_->parts->classes}; }

std::span<const float> Session::trace_logits() const {
  return {state_->trace_logits, state_->inputs * state_->parts->layers.size() * state_->parts->classes};
}

std::span<const float> Session::trace_scores(policy::Score score) const {
  const std::size_t which = static_cast<std::size_t>(score);
  if (!state_->traced_scores[which]) return {};
  return {state_->trace_scores[which], state_->inputs * (state_->parts->layers.size() - 1)};
}

std::span<const float> Session::trace_norms() const {
  return {state_->trace_norms, state_->inputs * state_->parts->layers.size()};
}

std::span<const float> Session::hidden() const { return {state_->x, state_->rows * state_->parts->hidden}; }
std::size_t Session::buffer_bytes() const {
  return state_->floats.size() * sizeof(float) + state_->ints.size() * sizeof(std::int32_t) + state_->doubles.size() * sizeof(double) + state_->bytes.size() +
         state_->masks.size() * sizeof(std::uint64_t) + state_->signals.size() * sizeof(policy::Signals);
}
double Session::decision_seconds() const { return state_->decision_seconds; }
void Session::reset_decision_seconds() { state_->decision_seconds = 0; }
ResidencyReport Session::residency() const { return state_->residency ? state_->residency->report() : ResidencyReport{}; }

}  // namespace fathom::engine
