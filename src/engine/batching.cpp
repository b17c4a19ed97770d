#include "engine/batching.h"

#include <bit>
#include <chrono>
#include <cmath>
#include <cstring>

#include "engine/decision.h"
#include "engine/forward.h"

namespace fathom::engine {
namespace {

using policy::Score;

// Adds the time until its end to decision_seconds, if asked to.
class Stopwatch {
 public:
  Stopwatch(double& total, bool on) : total_(total), on_(on) {
    if (on_) begin_ = std::chrono::steady_clock::now();
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;
  ~Stopwatch() {
    if (on_) total_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }

 private:
  double& total_;
  bool on_;
  std::chrono::steady_clock::time_point begin_;
};

int layers_of(const Session::State& state) { return state.parts->spec.layers; }

std::uint64_t first_layers(int count) { return count >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1; }

const Ledger& ledger_of_slot(const Session::State& state, std::size_t slot) {
  return state.ledger(static_cast<std::size_t>(state.lengths[slot]));
}

std::size_t active_rows(const Session::State& state) {
  const std::size_t last = state.active - 1;
  return static_cast<std::size_t>(state.starts[last] + state.lengths[last]);
}

void layer_on_all(Session::State& state, int layer) {
  run_layer(state, static_cast<std::size_t>(layer - 1), state.starts, state.lengths, state.active, active_rows(state));
}

// On the slots whose trajectory has the layer.
void layer_on_its_own(Session::State& state, int layer) {
  std::size_t count = 0, rows = 0;
  for (std::size_t s = 0; s < state.active; ++s) {
    if ((state.masks[static_cast<std::size_t>(state.slots[s])] >> (layer - 1) & 1) == 0) continue;
    state.sub_starts[count] = state.starts[s];
    state.sub_lengths[count++] = state.lengths[s];
    rows += static_cast<std::size_t>(state.lengths[s]);
  }
  run_layer(state, static_cast<std::size_t>(layer - 1), state.sub_starts, state.sub_lengths, count, rows);
}

// Softmax of `logits` at `label`.
float raw_probability(const float* logits, std::size_t classes, std::int32_t label) {
  double sum = 0;
  for (std::size_t c = 0; c < classes; ++c)
    sum += std::exp(static_cast<double>(logits[c]) - static_cast<double>(logits[label]));
  return static_cast<float>(1.0 / sum);
}

// Writes the prediction of a slot: `logits` and `p` are its rows of the exit taken.
void finish(Session::State& state, std::size_t slot, const float* logits, const float* p) {
  const std::size_t classes = state.parts->classes, place = static_cast<std::size_t>(state.slots[slot]);
  Prediction& out = state.out[place];
  out.label = out.no_answer > 0 ? -1 : policy::argmax({logits, classes});
  out.confidence = out.no_answer > 0 ? 0.0f : p[out.label];
  out.raw_confidence = out.no_answer > 0 ? 0.0f : raw_probability(logits, classes, out.label);
  out.trajectory = state.masks[place];
  out.depth = std::popcount(out.trajectory);
  out.macs += out.depth * ledger_of_slot(state, slot).layer;
  std::memcpy(state.logits + place * classes, logits, classes * sizeof(float));
}

void pick_all(Session::State& state) {
  for (std::size_t s = 0; s < state.active; ++s) state.picked[s] = static_cast<std::int32_t>(s);
}

double head_macs(const Session::State& state, std::size_t slot, int exit) {
  const Ledger& ledger = ledger_of_slot(state, slot);
  return exit == layers_of(state) ? ledger.task_head : ledger.exit_head;
}

// The slots in state.picked (rising) leave; the others close up in order.
void leave(Session::State& state, const Needs& needs, std::size_t count) {
  const std::size_t hidden = state.parts->hidden, classes = state.parts->classes;
  const std::size_t width = state.parts->net.width, row = kPolicyInputs + width;
  std::size_t to = 0, gone = 0;
  std::int32_t next_row = 0;
  for (std::size_t s = 0; s < state.active; ++s) {
    if (gone < count && static_cast<std::size_t>(state.picked[gone]) == s) {
      ++gone;
      continue;
    }
    if (to != s) {
      const std::size_t length = static_cast<std::size_t>(state.lengths[s]);
      std::memmove(state.x + static_cast<std::size_t>(next_row) * hidden,
                   state.x + static_cast<std::size_t>(state.starts[s]) * hidden, length * hidden * sizeof(float));
      state.slots[to] = state.slots[s];
      state.lengths[to] = state.lengths[s];
      state.starts[to] = next_row;
      if (needs.lstm) {
        std::memcpy(state.p + to * classes, state.p + s * classes, classes * sizeof(float));
        std::memcpy(state.policy_in + to * row, state.policy_in + s * row, row * sizeof(float));
        std::memcpy(state.cell + to * width, state.cell + s * width, width * sizeof(float));
      }
    }
    next_row += state.lengths[to];
    ++to;
  }
  state.active = to;
}

// Decides for every slot and charges the heads; returns how many stop, listed in state.picked.
std::size_t decide(Session::State& state, const Course& course, int exit) {
  const Needs& needs = course.needs;
  std::size_t stopping = 0;
  for (std::size_t s = 0; s < state.active; ++s) {
    const std::size_t place = static_cast<std::size_t>(state.slots[s]);
    auto [stop, score] = stops(state, course.score, s, exit, course.lambda);
    if (!course.replay.empty()) {
      score = course.replay[place * (state.parts->layers.size() - 1) + static_cast<std::size_t>(exit - 1)];
      stop = score >= course.lambda;
    }
    if (state.outlook) state.outlook->learn(exit, place, course.lambda > 0 ? score / course.lambda : 1.0, stop);
    if (needs.heads) {
      Prediction& out = state.out[state.slots[s]];
      const double macs = head_macs(state, s, exit);
      out.macs += macs;
      if (!stop) out.decision_macs += macs;
    }
    if (!stop) continue;
    state.masks[place] = first_layers(exit);
    state.picked[stopping++] = static_cast<std::int32_t>(s);
  }
  return stopping;
}

void finish_stopping(Session::State& state, const Needs& needs, int exit, std::size_t count) {
  if (!needs.heads) return finish_picked(state, exit, count);
  const std::size_t classes = state.parts->classes;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t slot = static_cast<std::size_t>(state.picked[i]);
    finish(state, slot, state.head_logits + slot * classes, state.p + slot * classes);
  }
}

// The LSTM's own word on each layer, before the first.
void choose_trajectories(Session::State& state, int layers) {
  for (std::size_t s = 0; s < state.active; ++s) state.masks[static_cast<std::size_t>(state.slots[s])] = 0;
  for (int l = 1; l <= layers; ++l) {
    policy_step(state, l, false);
    for (std::size_t s = 0; s < state.active; ++s)
      if (policy::sigmoid(state.policy_out[2 * s + 1]) < 0.5f)
        state.masks[static_cast<std::size_t>(state.slots[s])] |= std::uint64_t{1} << (l - 1);
  }
  for (std::size_t s = 0; s < state.active; ++s)
    if (std::uint64_t& mask = state.masks[static_cast<std::size_t>(state.slots[s])]; mask == 0) mask = 1;
}

void trace_exit(Session::State& state, const Needs& needs, int exit) {
  const Plan::Parts& parts = *state.parts;
  const int layers = layers_of(state);
  const std::size_t classes = parts.classes, n = state.active, depth = static_cast<std::size_t>(layers);
  const std::size_t at = static_cast<std::size_t>(exit - 1);
  const bool chained = exit >= parts.policy.first_exit && exit < layers;
  if (chained) {
    observe(state, needs, exit);
  } else {
    pick_all(state);
    run_heads(state, exit, state.picked, n);
    for (std::size_t s = 0; s < n; ++s)
      calibrate_row(state, s, exit, state.head_logits + s * classes, state.p + s * classes);
  }
  for (std::size_t s = 0; s < n; ++s) {
    const std::size_t read = static_cast<std::size_t>(parts.heads[at].shape.input);
    const float* pooled = state.pooled + s * read;
    double squares = 0;
    for (std::size_t i = 0; i < read; ++i) squares += static_cast<double>(pooled[i]) * static_cast<double>(pooled[i]);
    state.trace_norms[s * depth + at] = static_cast<float>(std::sqrt(squares));
    std::memcpy(state.trace_logits + (s * depth + at) * classes, state.head_logits + s * classes,
                classes * sizeof(float));
    state.out[s].macs += head_macs(state, s, exit);
    if (exit == layers) continue;
    state.out[s].decision_macs += head_macs(state, s, exit);
    for (const Score score : {Score::confidence, Score::predictor, Score::policy, Score::fused}) {
      const std::size_t which = static_cast<std::size_t>(score);
      if (!state.traced_scores[which]) continue;
      const bool free = score == Score::confidence || score == Score::predictor;  // of any chain of checkpoints
      state.trace_scores[which][s * (depth - 1) + at] = chained || free ? score_of(state, score, s, exit) : 0.0f;
    }
  }
}

void run_trace(Session::State& state, const Needs& needs) {
  const Plan::Parts& parts = *state.parts;
  const int layers = layers_of(state);
  for (const Score score : {Score::confidence, Score::predictor, Score::policy, Score::fused})
    state.traced_scores[static_cast<std::size_t>(score)] = has_parts(parts, score);
  for (int l = 1; l <= layers; ++l) {
    layer_on_all(state, l);
    trace_exit(state, needs, l);
  }
  for (std::size_t s = 0; s < state.active; ++s)
    finish(state, s, state.head_logits + s * parts.classes, state.p + s * parts.classes);
}

}  // namespace

void run_layers(Session::State& state, int layers) {
  if (state.residency) state.residency->expect(first_layers(layers));
  for (int l = 1; l <= layers; ++l) layer_on_all(state, l);
}

void run_states(Session::State& state, float* states) {
  const int layers = layers_of(state);
  const std::size_t hidden = state.parts->hidden;
  if (state.residency) state.residency->expect(first_layers(layers));
  for (int l = 1; l <= layers; ++l) {
    layer_on_all(state, l);
    for (std::size_t s = 0; l < layers && s < state.active; ++s, states += 2 * hidden) pool_cls_mean(state, s, states);
  }
  pick_all(state);
  run_heads(state, layers, state.picked, state.active);
}

Course course_of(const Plan::Parts& parts, const RunOptions& options) {
  const policy::Policy& policy = parts.policy;
  Course course;
  course.exit = parts.spec.layers;
  course.profile = options.profile_decision;
  if (options.mode == Mode::masks) course.way = Way::masks;
  if (options.mode == Mode::fixed_exit) course.exit = options.exit;
  if (options.mode == Mode::trace) {
    course.way = Way::trace;
    course.needs = needs_of_trace(policy);
  }
  if (options.mode != Mode::adaptive || !parts.decides) return course;
  if (policy.kind == policy::PolicyKind::gates && options.score < 0) {
    course.way = Way::gates;
    course.needs = needs_of_gates(policy);
    return course;
  }
  if (options.max_depth > 0) course.exit = std::min(options.max_depth, course.exit);
  course.score = options.score >= 0 ? static_cast<Score>(options.score) : policy.score;
  course.lambda = options.lambda >= 0.0f ? options.lambda : policy.lambda;
  // No score passes 1: above it nothing can stop, and nothing is asked.
  if (course.lambda > 1.0f || policy.first_exit >= course.exit) return course;
  course.way = Way::adaptive;
  course.needs = needs_of(policy, course.score);
  course.first_exit = policy.first_exit;
  course.replay = options.replay;
  return course;
}

void start(Session::State& state, const Course& course) {
  if (course.way == Way::masks) return;
  const Stopwatch watch(state.decision_seconds, course.profile);
  for (std::size_t s = 0; s < state.active; ++s) {
    state.masks[static_cast<std::size_t>(state.slots[s])] = first_layers(course.exit);
    if (state.outlook) state.outlook->begin(static_cast<std::size_t>(state.slots[s]));
  }
  run_extractor(state, course.needs);
  if (course.way == Way::gates) choose_trajectories(state, course.exit);
}

std::size_t checkpoint(Session::State& state, const Course& course, int layer) {
  std::size_t stopping = 0;
  {
    const Stopwatch watch(state.decision_seconds, course.profile);
    observe(state, course.needs, layer);
    stopping = decide(state, course, layer);
  }
  if (stopping > 0) finish_stopping(state, course.needs, layer, stopping);
  return stopping;
}

void finish_picked(Session::State& state, int exit, std::size_t count) {
  const std::size_t classes = state.parts->classes;
  run_heads(state, exit, state.picked, count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t slot = static_cast<std::size_t>(state.picked[i]);
    const float* logits = state.head_logits + i * classes;
    float* p = state.p + i * classes;
    calibrate_row(state, slot, exit, logits, p);
    state.out[state.slots[slot]].macs += head_macs(state, slot, exit);
    finish(state, slot, logits, p);
  }
}

void seed_residency(Session::State& state, const Course& course) {
  if (!state.residency || state.seeded || course.way != Way::adaptive || course.score != state.parts->policy.score)
    return;
  const ReachPoint* nearest = nullptr;
  for (const ReachPoint& point : state.reach)
    if (nearest == nullptr || std::abs(point.lambda - course.lambda) < std::abs(nearest->lambda - course.lambda))
      nearest = &point;
  state.seeded = true;
  if (nearest == nullptr) return;
  state.residency->seed(nearest->shares);
  if (state.outlook) state.outlook->seed(nearest->exits);
}

void look_ahead(Session::State& state, const Course& course, int layer) {
  if (!state.outlook || course.way != Way::adaptive) return;
  double all_stop = layer >= course.exit ? 1 : 0;
  if (course.decides_after(layer)) {
    all_stop = 1;
    for (std::size_t s = 0; s < state.active; ++s)
      all_stop *= 1 - state.outlook->goes_on(layer, static_cast<std::size_t>(state.slots[s]));
  }
  state.residency->outlook(1 - all_stop);
}

void run_course(Session::State& state, const Course& course) {
  start(state, course);
  if (state.residency && course.way != Way::adaptive) {  // which layers will run is known
    std::uint64_t some = 0;
    for (std::size_t s = 0; s < state.active; ++s) some |= state.masks[static_cast<std::size_t>(state.slots[s])];
    state.residency->expect(some);
  }
  if (course.way == Way::trace) return run_trace(state, course.needs);
  for (int l = 1; l <= course.exit; ++l) {
    if (course.way == Way::masks || course.way == Way::gates)
      layer_on_its_own(state, l);
    else
      look_ahead(state, course, l), layer_on_all(state, l);
    if (!course.decides_after(l)) continue;
    const std::size_t stopping = checkpoint(state, course, l);
    if (stopping == 0) continue;
    leave(state, course.needs, stopping);
    if (state.active == 0) return;
  }
  pick_all(state);
  finish_picked(state, course.exit, state.active);
}

}  // namespace fathom::engine
