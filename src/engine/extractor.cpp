// The feature extractor over h^0 (paper 3.1): projection and 3x3 convolutions as GEMMs, statistics of h1 for the trees,
// pooled h2 for the LSTM's start. One worker takes whole inputs; a single input's GEMMs may spread over the pool.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "engine/decision.h"
#include "engine/forward.h"
#include "kernels/parallel.h"

namespace fathom::engine {
namespace {

using kernels::Activation;

constexpr double kOwnMacs = 300e3;  // below this much work a worker is not worth waking

struct Grid {
  std::size_t rows, columns;
  std::size_t positions() const { return rows * columns; }
};

// Columns of a convolution with zero padding 1: for each position the taps' channels side by side.
void unfold(const float* x, Grid grid, std::size_t channels, int kernel_rows, float* to) {
  const std::ptrdiff_t rows = static_cast<std::ptrdiff_t>(grid.rows),
                       columns = static_cast<std::ptrdiff_t>(grid.columns);
  const std::ptrdiff_t half = kernel_rows / 2;
  for (std::ptrdiff_t r = 0; r < rows; ++r)
    for (std::ptrdiff_t c = 0; c < columns; ++c)
      for (std::ptrdiff_t y = r - half; y <= r + half; ++y)
        for (std::ptrdiff_t z = c - 1; z <= c + 1; ++z, to += channels) {
          const bool inside = y >= 0 && y < rows && z >= 0 && z < columns;
          if (inside)
            std::memcpy(to, x + static_cast<std::size_t>(y * columns + z) * channels, channels * sizeof(float));
          else
            std::memset(to, 0, channels * sizeof(float));
        }
}

// 2x2 max-pool, stride 2, windows cut at the border.
void max_pool(const float* x, Grid grid, std::size_t channels, float* to) {
  for (std::size_t r = 0; r < grid.rows; r += 2)
    for (std::size_t c = 0; c < grid.columns; c += 2, to += channels) {
      std::memcpy(to, x + (r * grid.columns + c) * channels, channels * sizeof(float));
      for (std::size_t y = r; y < std::min(r + 2, grid.rows); ++y)
        for (std::size_t z = c; z < std::min(c + 2, grid.columns); ++z) {
          const float* from = x + (y * grid.columns + z) * channels;
          for (std::size_t i = 0; i < channels; ++i) to[i] = std::max(to[i], from[i]);
        }
    }
}

// Mean, max, deviation and first position at half the maximum, of each channel (docs/formats/bundle.md).
void statistics(const float* h1, std::size_t positions, std::size_t channels, const InputScratch& scratch, double* to) {
  double* __restrict sum = scratch.sum;
  double* __restrict squares = scratch.squares;
  float* __restrict maxima = scratch.most;
  std::fill_n(sum, channels, 0.0);
  std::fill_n(squares, channels, 0.0);
  std::copy(h1, h1 + channels, maxima);
  for (std::size_t t = 0; t < positions; ++t)
    for (std::size_t c = 0; c < channels; ++c) {
      const float value = h1[t * channels + c];
      const double wide = value;
      sum[c] += wide;
      squares[c] += wide * wide;
      maxima[c] = std::max(maxima[c], value);
    }
  const double n = static_cast<double>(positions);
  for (std::size_t c = 0; c < channels; ++c, to += 4) {
    const double mean = sum[c] / n, most = maxima[c];
    std::size_t first = 0;
    if (most > 0)
      while (static_cast<double>(h1[first * channels + c]) < 0.5 * most) ++first;
    to[0] = mean;
    to[1] = most;
    to[2] = std::sqrt(std::max(0.0, squares[c] / n - mean * mean));
    to[3] = static_cast<double>(first) / n;
  }
}

template <class Gemm>
class InputExtractor {
 public:
  InputExtractor(const Session::State& state, const InputScratch& scratch, const Needs& needs, const Gemm& gemm)
      : state_(state), parts_(*state.parts), e_(parts_.extractor), s_(scratch), needs_(needs), gemm_(gemm) {}

  void run(std::size_t slot) const {
    const std::size_t tokens = static_cast<std::size_t>(state_.lengths[slot]);
    const float* x = state_.x + static_cast<std::size_t>(state_.starts[slot]) * parts_.hidden;
    const bool text = parts_.spec.modality == Modality::text;
    const Grid grid = text ? Grid{1, tokens} : Grid{e_.rows, e_.columns};
    const Grid second = text ? grid : Grid{e_.pooled_rows, e_.pooled_columns};
    const float* h1 = text ? text_h1(x, tokens)
                           : image_h1(x + static_cast<std::size_t>(parts_.spec.prefix_tokens) * parts_.hidden, grid);
    if (needs_.features) {
      double* to = state_.features + static_cast<std::size_t>(state_.slots[slot]) * (parts_.features + 1);
      statistics(h1, grid.positions(), e_.conv1.n, s_, to);
      to[4 * e_.conv1.n] = text ? static_cast<double>(tokens) / parts_.spec.max_tokens : 1.0;
    }
    if (!needs_.lstm) return;
    if (text)
      gemm_(linear_args(e_.conv2, s_.h1, e_.conv1.n, tokens, s_.h2, e_.conv2.n, Activation::relu));
    else
      image_h2(h1, grid, second);
    pool_h2(slot, second.positions());
  }

 private:
  // With one row of zeros before and after, the three taps of a position are contiguous: the convolution is a plain
  // GEMM over overlapping rows. Rows 0 are never written and stay zero.
  const float* text_h1(const float* x, std::size_t tokens) const {
    const std::size_t embed = e_.proj.n, c1 = e_.conv1.n;
    gemm_(linear_args(e_.proj, x, parts_.hidden, tokens, s_.proj + embed, embed));
    std::fill_n(s_.proj + (tokens + 1) * embed, embed, 0.0f);
    gemm_(linear_args(e_.conv1, s_.proj, embed, tokens, s_.h1 + c1, c1, Activation::relu));
    std::fill_n(s_.h1 + (tokens + 1) * c1, c1, 0.0f);
    return s_.h1 + c1;
  }

  const float* image_h1(const float* x, Grid grid) const {
    gemm_(linear_args(e_.proj, x, parts_.hidden, grid.positions(), s_.proj, e_.proj.n));
    unfold(s_.proj, grid, e_.proj.n, e_.kernel_rows, s_.columns);
    gemm_(linear_args(e_.conv1, s_.columns, e_.conv1.k, grid.positions(), s_.h1, e_.conv1.n, Activation::relu));
    return s_.h1;
  }

  void image_h2(const float* h1, Grid grid, Grid second) const {
    max_pool(h1, grid, e_.conv1.n, s_.pooled);
    unfold(s_.pooled, second, e_.conv1.n, e_.kernel_rows, s_.columns);
    gemm_(linear_args(e_.conv2, s_.columns, e_.conv2.k, second.positions(), s_.h2, e_.conv2.n, Activation::relu));
  }

  void pool_h2(std::size_t slot, std::size_t positions) const {
    const std::size_t c2 = e_.conv2.n;
    float* u = state_.policy_start + slot * (2 * c2 + 1);
    state_.table->mean_rows(s_.h2, c2, positions, c2, u);
    std::copy(s_.h2, s_.h2 + c2, u + c2);
    for (std::size_t t = 1; t < positions; ++t)
      for (std::size_t c = 0; c < c2; ++c) u[c2 + c] = std::max(u[c2 + c], s_.h2[t * c2 + c]);
    u[2 * c2] = 0.0f;
  }

  const Session::State& state_;
  const Plan::Parts& parts_;
  const Extractor& e_;
  const InputScratch& s_;
  const Needs& needs_;
  const Gemm& gemm_;
};

template <class Gemm>
void extract(const Session::State& state, const InputScratch& scratch, const Needs& needs, std::size_t begin,
             std::size_t end, const Gemm& gemm) {
  const InputExtractor<Gemm> extractor(state, scratch, needs, gemm);
  for (std::size_t i = begin; i < end; ++i) extractor.run(i);
}

// predicted_depth / layers, what the LSTM reads as `level` when the policy says so.
float level_of(Session::State& state, std::size_t place) {
  const policy::Policy& policy = state.parts->policy;
  const int layers = state.parts->spec.layers;
  if (policy.predictor_kind == policy::PredictorKind::huber) {
    survival_of(state, place, 1);  // keeps l_pred for the checkpoints, too
    return static_cast<float>(std::clamp(state.predicted[place], 1.0, static_cast<double>(layers)) / layers);
  }
  const std::size_t width = state.parts->features + 1;
  const double macs = policy.predictor->mean_path() * (layers - 1);
  state.out[place].macs += macs;
  state.out[place].decision_macs += macs;
  return static_cast<float>(policy::predicted_depth(policy, {state.features + place * width, width}, layers) / layers);
}

void start_policy(Session::State& state) {
  const Plan::Parts& parts = *state.parts;
  const PolicyNet& net = parts.net;
  const std::size_t row = kPolicyInputs + net.width, n = state.active;
  if (parts.policy.policy_reads_level)
    for (std::size_t s = 0; s < n; ++s)
      state.policy_start[(s + 1) * net.init.k - 1] = level_of(state, static_cast<std::size_t>(state.slots[s]));
  kernels::GemmArgs init =
      linear_args(net.init, state.policy_start, net.init.k, n, state.policy_in + kPolicyInputs, row);
  init.scratch = state.gemm_scratch;
  kernels::gemm(*state.table, *state.pool, init);
  for (std::size_t s = 0; s < n; ++s) {
    float* h = state.policy_in + s * row + kPolicyInputs;
    for (std::size_t i = 0; i < net.width; ++i) h[i] = std::tanh(h[i]);
  }
  std::fill_n(state.cell, n * net.width, 0.0f);
}

}  // namespace

void run_extractor(Session::State& state, const Needs& needs) {
  if (!needs.any_extractor()) return;
  const Plan::Parts& parts = *state.parts;
  const std::size_t n = state.active, workers = static_cast<std::size_t>(state.pool->threads());
  double work = 0;
  for (std::size_t s = 0; s < n; ++s) {
    const std::size_t tokens = static_cast<std::size_t>(state.lengths[s]),
                      place = static_cast<std::size_t>(state.slots[s]);
    const Ledger& ledger = state.ledger(tokens);
    const bool text = parts.spec.modality == Modality::text;
    const std::size_t positions = text ? tokens : parts.extractor.pooled_rows * parts.extractor.pooled_columns;
    // Without an LSTM the second convolution is not run.
    const double unused = needs.lstm ? 0.0 : static_cast<double>(positions) * parts.conv2_macs_per_position;
    const double macs = ledger.extractor - unused + (needs.lstm ? ledger.policy_init : 0.0);
    state.out[place].macs += macs;
    state.out[place].decision_macs += macs;
    state.predicted[place] = std::numeric_limits<double>::quiet_NaN();
    work += macs;
  }
  if (workers == 1 || n < workers || work < kOwnMacs * static_cast<double>(workers)) {
    const auto gemm = [&](kernels::GemmArgs args) {
      args.scratch = state.gemm_scratch;
      kernels::gemm(*state.table, *state.pool, args);
    };
    extract(state, state.input_scratch[0], needs, 0, n, gemm);
  } else {
    state.pool->parallel(static_cast<int>(workers), [&](int share) {
      const std::size_t w = static_cast<std::size_t>(share);
      const auto gemm = [&](kernels::GemmArgs args) {
        args.scratch = state.gemm_scratch_of(w);
        state.table->gemm(args);
      };
      extract(state, state.input_scratch[w], needs, n * w / workers, n * (w + 1) / workers, gemm);
    });
  }
  if (needs.lstm) start_policy(state);
}

}  // namespace fathom::engine
