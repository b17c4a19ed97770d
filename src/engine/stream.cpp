#include "engine/stream.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <new>
#include <vector>

#include "base/float_environment.h"
#include "engine/batching.h"
#include "engine/forward.h"
#include "engine/requests.h"

namespace fathom::engine {
namespace {

constexpr int kFree = 0, kDone = -1;
constexpr std::size_t kMostLayers = 64;  // a trajectory is 64 bits
constexpr std::uint64_t kPatience = 4;   // steps an input may wait, times the model's layers

// One input of the stream. Its rows of x, its features and its prediction lie at its place in Session::State.
struct Place {
  int next = kFree;         // the layer it waits for (1-based), kFree or kDone
  std::int32_t length = 0;  // rows
  std::uint64_t ticket = 0;
  std::uint64_t since = 0;  // step at which it began to wait
};

// The lowest layer of a trajectory above `layer`, 0 if there is none.
int next_layer(std::uint64_t mask, int layer) {
  const std::uint64_t above = layer >= 64 ? 0 : mask >> layer;
  return above == 0 ? 0 : layer + 1 + std::countr_zero(above);
}

}  // namespace

struct Stream::State {
  std::unique_ptr<Session::State> run;  // its slots are the group that runs now
  Course course;
  std::vector<Place> places;
  std::vector<Prediction> predictions;  // by place
  std::vector<float> chain;             // by place: what the LSTM carries from checkpoint to checkpoint, and the last p
  std::vector<std::int32_t> entering;   // scratch of submit
  std::size_t held = 0, done = 0;
  std::uint64_t tickets = 0, steps = 0;
  std::uint64_t patience = 0;  // in steps

  int choose() const;
  void gather(int layer);
  void move_on(int layer);
  void wait_for(std::size_t slot, int layer);
  std::size_t hand_out(std::span<Finished> out);

  // The chain of a slot, to or from its place.
  template <class Copy>
  void each_of_chain(std::size_t slot, const Copy& copy) {
    if (!course.needs.lstm || course.way != Way::adaptive) return;
    const std::size_t width = run->parts->net.width, classes = run->parts->classes, row = kPolicyInputs + width;
    float* kept = chain.data() + static_cast<std::size_t>(run->slots[slot]) * (classes + 2 * width);
    copy(kept, run->p + slot * classes, classes);
    copy(kept + classes, run->policy_in + slot * row + kPolicyInputs, width);
    copy(kept + classes + width, run->cell + slot * width, width);
  }
};

// The deepest layer with as many rows as all workers take at once: more would not make it faster, and its inputs are
// the nearest to leaving. Where none is so full, the one with the most rows. Before either, inputs that have waited too
// long.
int Stream::State::choose() const {
  std::array<std::size_t, kMostLayers + 1> rows{};
  const Place* oldest = nullptr;
  for (const Place& place : places) {
    if (place.next < 1) continue;
    rows[static_cast<std::size_t>(place.next)] += static_cast<std::size_t>(place.length);
    if (oldest == nullptr || place.since < oldest->since) oldest = &place;
  }
  if (oldest == nullptr) return 0;
  if (steps - oldest->since > patience) return oldest->next;
  const std::size_t full = run->chunk_rows * static_cast<std::size_t>(run->pool->threads());
  const auto deepest_full =
      std::find_if(rows.rbegin(), rows.rend(), [&](std::size_t waiting) { return waiting >= full; });
  if (deepest_full != rows.rend()) return static_cast<int>(rows.rend() - deepest_full) - 1;
  return static_cast<int>(std::max_element(rows.begin(), rows.end()) - rows.begin());
}

// Those who wait for `layer` become the slots.
void Stream::State::gather(int layer) {
  Session::State& st = *run;
  std::size_t count = 0;
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (places[i].next != layer) continue;
    st.slots[count] = static_cast<std::int32_t>(i);
    st.starts[count] = st.start_of_place(st.slots[count]);
    st.lengths[count] = places[i].length;
    each_of_chain(count,
                  [](const float* there, float* here, std::size_t n) { std::memcpy(here, there, n * sizeof(float)); });
    ++count;
  }
  st.active = count;
}

void Stream::State::wait_for(std::size_t slot, int layer) {
  Place& place = places[static_cast<std::size_t>(run->slots[slot])];
  place.next = layer;
  place.since = steps;
  each_of_chain(slot,
                [](float* there, const float* here, std::size_t n) { std::memcpy(there, here, n * sizeof(float)); });
}

// After `layer` ran on the slots: some stop, some are through, the others wait again.
void Stream::State::move_on(int layer) {
  Session::State& st = *run;
  const auto place_of = [&](std::size_t slot) -> Place& { return places[static_cast<std::size_t>(st.slots[slot])]; };
  const auto close_picked = [&](std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) place_of(static_cast<std::size_t>(st.picked[i])).next = kDone;
    done += count;
  };
  if (course.decides_after(layer)) close_picked(checkpoint(st, course, layer));
  std::size_t through = 0;
  for (std::size_t s = 0; s < st.active; ++s) {
    if (place_of(s).next == kDone) continue;
    const int next = next_layer(st.masks[static_cast<std::size_t>(st.slots[s])], layer);
    if (next > 0)
      wait_for(s, next);
    else
      st.picked[through++] = static_cast<std::int32_t>(s);
  }
  if (through == 0) return;
  finish_picked(st, course.exit, through);
  close_picked(through);
}

std::size_t Stream::State::hand_out(std::span<Finished> out) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < places.size() && count < out.size() && done > 0; ++i) {
    if (places[i].next != kDone) continue;
    out[count++] = {places[i].ticket, predictions[i]};
    places[i].next = kFree;
    --done;
    --held;
  }
  return count;
}

Stream::Stream(std::unique_ptr<State> state) : state_(std::move(state)) {}
Stream::Stream(Stream&&) noexcept = default;
Stream& Stream::operator=(Stream&&) noexcept = default;
Stream::~Stream() = default;

namespace {

// Steps answer no errors, so what a stream may use is compared before its first input.
Status check_all_units(const Session::State& st) {
  for (std::size_t unit = 0; unit < st.parts->units.size(); ++unit) FATHOM_TRY_VOID(st.parts->first_use(unit));
  if (st.residency)
    for (const auto& bytes : st.parts->layer_bytes) MappedFile::release(bytes, false);
  return {};
}

}  // namespace

Result<Stream> Stream::create(std::shared_ptr<const Plan> plan, Runtime& runtime, const SessionLimits& limits,
                              const RunOptions& options) {
  if (options.mode == Mode::trace) return Error{Code::unsupported, "a stream keeps no traces", "trace with a Session"};
  if (!options.replay.empty())
    return Error{Code::unsupported, "a stream replays no scores", "replay them with a Session"};
  FATHOM_TRY(auto run, make_state(std::move(plan), runtime, limits));
  FATHOM_TRY_VOID(check_options(*run, options));
  FATHOM_TRY_VOID(check_all_units(*run));
  try {
    auto state = std::make_unique<State>();
    const Plan::Parts& parts = *run->parts;
    state->course = course_of(parts, options);
    seed_residency(*run, state->course);
    state->places.resize(run->max_batch);
    state->predictions.resize(run->max_batch);
    state->entering.resize(run->max_batch);
    if (parts.decides) state->chain.resize(run->max_batch * (parts.classes + 2 * parts.net.width));
    state->patience = kPatience * parts.layers.size();
    run->out = state->predictions.data();
    state->run = std::move(run);
    return Stream(std::move(state));
  } catch (const std::bad_alloc&) {
    return Error{Code::out_of_memory, "stream: no memory for " + number(limits.max_batch) + " inputs",
                 "lower max_batch"};
  }
}

Result<Taken> Stream::submit(const Batch& batch, std::span<const std::uint64_t> masks) {
  const FloatEnvironment ours;
  State& s = *state_;
  Session::State& st = *s.run;
  Batch taken = batch;
  taken.count = std::min(batch.count, room());
  FATHOM_TRY_VOID(check_batch(st, taken));
  const bool given = s.course.way == Way::masks;
  if (given) FATHOM_TRY_VOID(check_masks(st, taken, masks));
  if (taken.count == 0) return Taken{s.tickets, 0};
  for (std::size_t i = 0, n = 0; n < taken.count; ++i)
    if (s.places[i].next == kFree) s.entering[n++] = static_cast<std::int32_t>(i);
  lay_out(st, taken, std::span(s.entering).first(taken.count));
  open_predictions(st);
  FATHOM_TRY_VOID(embed(st, taken));
  for (std::size_t i = 0; given && i < taken.count; ++i) st.masks[static_cast<std::size_t>(st.slots[i])] = masks[i];
  start(st, s.course);
  for (std::size_t i = 0; i < taken.count; ++i) {
    Place& place = s.places[static_cast<std::size_t>(st.slots[i])];
    place.length = st.lengths[i];
    place.ticket = s.tickets + i;
  }
  s.move_on(0);  // a mask without layers is through already: its head reads h^0
  s.held += taken.count;
  const Taken result{s.tickets, taken.count};
  s.tickets += taken.count;
  return result;
}

bool Stream::step() {
  const FloatEnvironment ours;
  State& s = *state_;
  const int layer = s.choose();
  if (layer == 0) return false;
  s.gather(layer);
  Session::State& st = *s.run;
  std::size_t rows = 0;
  for (std::size_t i = 0; i < st.active; ++i) rows += static_cast<std::size_t>(st.lengths[i]);
  look_ahead(st, s.course, layer);
  run_layer(st, static_cast<std::size_t>(layer - 1), st.starts, st.lengths, st.active, rows);
  ++s.steps;
  s.move_on(layer);
  return true;
}

std::size_t Stream::drain(std::span<Finished> out) {
  while (!out.empty() && state_->done == 0 && step()) {
  }
  return state_->hand_out(out);
}

std::size_t Stream::finish(std::span<Finished> out) {
  std::size_t count = 0;
  while (count < out.size() && state_->held > 0) count += drain(out.subspan(count));
  return count;
}

std::size_t Stream::held() const { return state_->held; }
std::size_t Stream::room() const { return state_->places.size() - state_->held; }
std::size_t Stream::buffer_bytes() const { return state_->run->buffer_bytes() + state_->chain.size() * sizeof(float); }
ResidencyReport Stream::residency() const {
  return state_->run->residency ? state_->run->residency->report() : ResidencyReport{};
}
double Stream::decision_seconds() const { return state_->run->decision_seconds; }

}  // namespace fathom::engine
