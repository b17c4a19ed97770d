// Session: plans its buffers, has every batch and request checked, then hands over to batching.cpp.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <new>

#include "base/float_environment.h"
#include "engine/batching.h"
#include "engine/decision.h"
#include "engine/forward.h"
#include "engine/requests.h"
#include "kernels/parallel.h"
#include "policy/budget.h"

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
  return {carvers.bytes.take(rows * kernels::int8_row_bytes(width)), carvers.floats.take(rows),
          carvers.ints.take(rows)};
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
    scratch.inner = floats.take(st.chunk_rows * static_cast<std::size_t>(parts.spec.ranks.most()));
    scratch.attention = attention == nullptr ? nullptr : attention + w * st.attention_stride;
    scratch.offsets = ints.take(st.max_batch + 1);
    if (parts.model->precision() == Precision::int8)
      scratch.quantized = carve_quantized(carvers, st.chunk_rows, std::max(parts.hidden, parts.ffn));
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
    if (!text && parts.model->precision() == Precision::int8)
      scratch.quantized = carve_quantized(carvers, positions, parts.embedding.patch.k);
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
  st.gemm_scratch = floats.take(st.layer_scratch.size() * st.table->gemm_scratch);
  st.x = floats.take(st.max_rows * st.parts->hidden);
  carve_layers(st, carvers);
  carve_inputs(st, carvers);
  carve_decision(st, carvers);
  st.positions = ints.take(st.max_rows);
  for (std::int32_t** list :
       {&st.slots, &st.starts, &st.lengths, &st.picked, &st.sub_starts, &st.sub_lengths, &st.chunk_ends})
    *list = ints.take(st.max_batch);
}

void plan_buffers(Session::State& st) {
  Carvers sizes{Carver<float>(nullptr), Carver<std::int32_t>(nullptr), Carver<double>(nullptr),
                Carver<std::uint8_t>(nullptr)};
  carve(st, sizes);
  st.floats = Buffer<float>(sizes.floats.used());
  st.ints = Buffer<std::int32_t>(sizes.ints.used());
  st.doubles = Buffer<double>(sizes.doubles.used());
  st.bytes = Buffer<std::uint8_t>(sizes.bytes.used());
  st.masks = Buffer<std::uint64_t>(st.max_batch);
  st.signals = Buffer<policy::Signals>(st.max_batch);
  Carvers pieces{Carver<float>(st.floats.data()), Carver<std::int32_t>(st.ints.data()),
                 Carver<double>(st.doubles.data()), Carver<std::uint8_t>(st.bytes.data())};
  carve(st, pieces);
}

std::string megabytes(std::size_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g MB", static_cast<double>(bytes) / 1e6);
  return text;
}

// The shares of depth that the bundle recorded; none where it has none of this score, for they only save waiting.
std::vector<ReachPoint> reach_of(const Plan::Parts& parts) {
  const Json& fathom = parts.model->bundle()->fathom();
  if (!fathom.contains("budget_table")) return {};
  const auto table = policy::budget_table_from_json(fathom["budget_table"], parts.spec.layers,
                                                    policy::score_name(parts.policy.score), "budget_table");
  if (!table) return {};
  std::vector<ReachPoint> out;
  for (const policy::BudgetPoint& point : table->points) {
    ReachPoint reach{point.lambda, point.exits, point.exits};
    double going = 1;
    for (std::size_t l = 0; l < point.exits.size(); going -= point.exits[l++]) reach.shares[l] = std::max(0.0, going);
    out.push_back(std::move(reach));
  }
  return out;
}

Status plan_residency(Session::State& st, const Runtime& runtime) {
  if (runtime.memory_budget() == 0) return {};
  const Plan::Parts& parts = *st.parts;
  if (!parts.weights.mapped())
    return Error{Code::unsupported,
                 "memory budget: this model's packed weights are not mapped from a file, so layers cannot leave memory",
                 "map the weights (no `--weights copy`), and let the bundle's folder be written once: the first start "
                 "keeps them there"};
  std::size_t largest = 0;
  for (const auto& bytes : parts.layer_bytes) largest = std::max(largest, bytes.size());
  if (runtime.memory_budget() < largest)
    return Error{Code::usage,
                 "memory budget: " + megabytes(runtime.memory_budget()) + ", and one layer takes " + megabytes(largest),
                 "give at least that"};
  st.residency = std::make_unique<Residency>(parts.layer_bytes, runtime.memory_budget(), runtime.forget_evicted());
  if (!parts.decides) return {};
  st.outlook = std::make_unique<Outlook>(parts.spec.layers, st.max_batch);
  st.reach = reach_of(parts);
  return {};
}

Status plan_session(Session::State& st, Runtime& runtime, const SessionLimits& limits) {
  const Plan::Parts& parts = *st.parts;
  const std::size_t most = static_cast<std::size_t>(parts.spec.tokens());
  const bool text = parts.spec.modality == Modality::text;
  if (limits.max_batch == 0) return refuse("max_batch: expected at least 1, got 0", "");
  if (text && limits.max_tokens > most)
    return refuse("max_tokens: the model takes at most " + number(most) + ", got " + number(limits.max_tokens),
                  "0 takes the model's");
  st.max_batch = limits.max_batch;
  st.max_tokens = text && limits.max_tokens > 0 ? limits.max_tokens : most;
  constexpr std::size_t kMostRows = std::size_t{1} << 27;
  if (st.max_batch > kMostRows / st.max_tokens)
    return Error{Code::limit,
                 "session: " + number(st.max_batch) + " inputs of " + number(st.max_tokens) + " tokens pass " +
                     number(kMostRows) + " rows",
                 "lower max_batch or max_tokens"};
  st.max_rows = st.max_batch * st.max_tokens;
  st.chunk_rows =
      std::min(std::max(rows_per_chunk(parts.spec, parts.model->precision(), *st.table), st.max_tokens), st.max_rows);
  const std::size_t threads = static_cast<std::size_t>(runtime.pool().threads());
  st.layer_scratch.resize(threads);
  st.input_scratch.resize(threads);
  for (std::size_t w = 0; text && w < threads; ++w) st.word_caches.emplace_back(parts.embedding.word);
  st.attention_stride =
      kernels::attention_scratch_stride(*st.table, st.max_tokens, static_cast<std::size_t>(parts.spec.head_dim()),
                                        parts.spec.attention == Attention::linear);
  if (!text) st.ledgers = {ledger_for(parts.spec, parts.spec.tokens())};
  for (std::size_t tokens = 0; text && tokens <= st.max_tokens; ++tokens)
    st.ledgers.push_back(ledger_for(parts.spec, static_cast<int>(tokens)));
  plan_buffers(st);
  return plan_residency(st, runtime);
}

}  // namespace

Result<std::unique_ptr<Session::State>> make_state(std::shared_ptr<const Plan> plan, Runtime& runtime,
                                                   const SessionLimits& limits) {
  if (plan == nullptr) return refuse("session: no plan", "compile one first");
  if (plan->parts().kernels != &runtime.kernels())
    return refuse(std::string("session: the plan was compiled for kernels '") + tier_name(plan->parts().kernels->tier) +
                      "', the runtime uses '" + tier_name(runtime.kernels().tier) + "'",
                  "compile the plan with this runtime");
  const FloatEnvironment ours;
  try {
    auto state = std::make_unique<Session::State>();
    state->parts = &plan->parts();
    state->plan = std::move(plan);
    state->table = &runtime.kernels();
    state->pool = &runtime.pool();
    FATHOM_TRY_VOID(plan_session(*state, runtime, limits));
    return state;
  } catch (const std::bad_alloc&) {
    return Error{Code::out_of_memory, "session: no memory for " + number(limits.max_batch) + " inputs",
                 "lower max_batch or max_tokens"};
  }
}

namespace {

// Row of the position table for each id. Where there is a padding id, it has row 0, and the others count without it.
void lay_positions(const Session::State& st, const std::int32_t* ids, std::int32_t length, std::int32_t* positions) {
  const std::int32_t padding = st.parts->spec.padding_id;
  std::int32_t next = padding < 0 ? 0 : 1;
  for (std::int32_t t = 0; t < length; ++t) positions[t] = padding >= 0 && ids[t] == padding ? 0 : next++;
}

}  // namespace

void lay_out(Session::State& st, const Batch& batch, std::span<const std::int32_t> places) {
  const bool text = st.parts->spec.modality == Modality::text;
  std::int32_t row = 0;
  for (std::size_t i = 0; i < batch.count; ++i) {
    const std::int32_t length = text ? batch.offsets[i + 1] - batch.offsets[i] : st.parts->spec.tokens();
    st.slots[i] = places.empty() ? static_cast<std::int32_t>(i) : places[i];
    st.starts[i] = places.empty() ? row : st.start_of_place(places[i]);
    st.lengths[i] = length;
    if (text) lay_positions(st, batch.ids.data() + batch.offsets[i], length, st.positions + row);
    row += length;
  }
  st.inputs = st.active = batch.count;
  if (st.residency) st.residency->start(batch.count);
  st.rows = static_cast<std::size_t>(row);
  st.ids = text ? batch.ids.data() + batch.offsets[0] : nullptr;
  st.types = text && !batch.types.empty() ? batch.types.data() + batch.offsets[0] : nullptr;
  std::fill(std::begin(st.traced_scores), std::end(st.traced_scores), false);
}

void open_predictions(Session::State& st) {
  for (std::size_t s = 0; s < st.active; ++s) {
    Prediction& out = st.out[st.slots[s]];
    out = {};
    out.macs = st.ledger(static_cast<std::size_t>(st.lengths[s])).embed;
  }
}

Session::Session(std::unique_ptr<State> state) : state_(std::move(state)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

Result<Session> Session::create(std::shared_ptr<const Plan> plan, Runtime& runtime, const SessionLimits& limits) {
  FATHOM_TRY(auto state, make_state(std::move(plan), runtime, limits));
  return Session(std::move(state));
}

Error no_answer(const Prediction& prediction, const std::string& input) {
  return {Code::corrupt_bundle,
          input + ": no answer, the logits of exit " + std::to_string(prediction.no_answer) +
              " are not finite (NaN or infinite)",
          "weights that diverged in training or were damaged: `fathom info --verify`, or import the checkpoint again"};
}

Status Session::run(const Batch& batch, const RunOptions& options, std::span<Prediction> predictions) {
  const FloatEnvironment ours;
  State& st = *state_;
  st.inputs = st.rows = 0;
  FATHOM_TRY_VOID(check_batch(st, batch));
  FATHOM_TRY_VOID(check_options(st, options));
  if (options.mode == Mode::masks) FATHOM_TRY_VOID(check_masks(st, batch, options.masks));
  const std::size_t scores = batch.count * (st.parts->layers.size() - 1);
  if (!options.replay.empty() && (options.mode != Mode::adaptive || options.replay.size() < scores))
    return refuse(
        "replay: expected " + number(scores) + " scores and Mode::adaptive, got " + number(options.replay.size()), "");
  if (predictions.size() < batch.count)
    return refuse("predictions: expected room for " + number(batch.count) + ", got " + number(predictions.size()), "");
  if (batch.count == 0) return {};
  lay_out(st, batch);
  st.out = predictions.data();
  open_predictions(st);
  FATHOM_TRY_VOID(embed(st, batch));
  if (options.mode == Mode::masks) std::copy_n(options.masks.begin(), batch.count, st.masks.data());
  const Course course = course_of(*st.parts, options);
  seed_residency(st, course);
  if (st.parts->decides) (void)st.may_use(Plan::Parts::kDecision);
  run_course(st, course);
  st.out = nullptr;
  if (const Status fault = st.take_fault(); !fault) {  // no prediction holds, not even that one has no answer
    std::fill_n(predictions.begin(), batch.count, Prediction{});
    return fault.error();
  }
  for (std::size_t i = 0; i < batch.count; ++i)
    if (predictions[i].no_answer > 0) return no_answer(predictions[i], "input " + number(i));
  return {};
}

Status Session::run_backbone(const Batch& batch) {
  const FloatEnvironment ours;
  State& st = *state_;
  st.inputs = st.rows = 0;
  FATHOM_TRY_VOID(check_batch(st, batch));
  if (batch.count == 0) return {};
  lay_out(st, batch);
  FATHOM_TRY_VOID(embed(st, batch));
  run_layers(st, st.parts->spec.layers);
  return st.take_fault();
}

Status Session::run_states(const Batch& batch, std::span<float> states, std::span<float> logits,
                           std::span<float> start) {
  const FloatEnvironment ours;
  State& st = *state_;
  const Plan::Parts& parts = *st.parts;
  st.inputs = st.rows = 0;
  FATHOM_TRY_VOID(check_batch(st, batch));
  RunOptions options;
  options.mode = Mode::full_depth;
  FATHOM_TRY_VOID(check_options(st, options));
  const std::size_t exits = parts.layers.size() - 1;
  if (states.size() < exits * batch.count * 2 * parts.hidden || logits.size() < batch.count * parts.classes)
    return refuse("run_states: no room for " + number(batch.count) + " inputs", "");
  if (batch.count == 0) return {};
  lay_out(st, batch);
  if (!start.empty() && start.size() < st.rows * parts.hidden)
    return refuse("run_states: no room for " + number(st.rows) + " rows of h^0", "");
  FATHOM_TRY_VOID(embed(st, batch));
  if (!start.empty()) std::copy_n(st.x, st.rows * parts.hidden, start.data());
  engine::run_states(st, states.data());
  std::copy_n(st.head_logits, batch.count * parts.classes, logits.data());
  FATHOM_TRY_VOID(st.take_fault());
  for (std::size_t i = 0; i < batch.count * parts.classes; ++i)
    if (Prediction at{.no_answer = parts.spec.layers}; !std::isfinite(logits[i]))
      return no_answer(at, "input " + number(i / parts.classes));
  return {};
}

Status Session::watch(const Batch& batch, int layers, const Watcher& see) {
  const FloatEnvironment ours;
  State& st = *state_;
  const Plan::Parts& parts = *st.parts;
  st.inputs = st.rows = 0;
  FATHOM_TRY_VOID(check_batch(st, batch));
  if (parts.model->precision() != Precision::fp32)
    return Error{Code::unsupported,
                 "what maps read is watched in fp32, and these layers are in " +
                     std::string(precision_name(parts.model->precision())),
                 "use the bundle it was made from"};
  FATHOM_CHECK(layers >= 0 && layers <= parts.spec.layers, "more layers than there are");
  if (batch.count == 0) return {};
  lay_out(st, batch);
  FATHOM_TRY_VOID(embed(st, batch));
  for (std::size_t l = 0; l < static_cast<std::size_t>(layers); ++l)
    run_layer_watched(st, l, st.starts, st.lengths, st.active, see);
  return st.take_fault();
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
std::size_t Session::buffer_bytes() const { return state_->buffer_bytes(); }
double Session::decision_seconds() const { return state_->decision_seconds; }
void Session::reset_decision_seconds() { state_->decision_seconds = 0; }
ResidencyReport Session::residency() const {
  return state_->residency ? state_->residency->report() : ResidencyReport{};
}

}  // namespace fathom::engine
