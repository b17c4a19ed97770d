#include "engine/forward.h"

#include <algorithm>
#include <cstring>

#include "kernels/parallel.h"

namespace fathom::engine {
namespace {

using kernels::Activation;
using kernels::GemmArgs;

constexpr std::size_t kRowsOfOwn = 64;  // rows a worker needs before it gets sequences of its own

// The two ways to spend threads: kernels called alone by a worker that owns its sequences, or spread over the pool.
struct Alone {
  const kernels::Table& table;
  void gemm(const GemmArgs& args) const { table.gemm(args); }
  void attention(const kernels::AttentionArgs& args) const { table.attention(args); }
  void norm(const Norm& n, const float* x, std::size_t rows, std::size_t width, float eps, float* y) const {
    table.layernorm(x, width, rows, width, n.gamma, n.beta, eps, y, width);
  }
};

struct Spread {
  const kernels::Table& table;
  ThreadPool& pool;
  std::size_t attention_stride;
  void gemm(const GemmArgs& args) const { kernels::gemm(table, pool, args); }
  void attention(const kernels::AttentionArgs& args) const { kernels::attention(table, pool, args, attention_stride); }
  void norm(const Norm& n, const float* x, std::size_t rows, std::size_t width, float eps, float* y) const {
    kernels::layernorm(table, pool, x, width, rows, width, n.gamma, n.beta, eps, y, width);
  }
};

struct Group {  // sequences of one chunk: contiguous rows, offsets from 0
  float* x;
  std::size_t rows, count;
};

template <class Exec>
void layer_forward(const Plan::Parts& parts, const Layer& layer, const Exec& exec, const LayerScratch& scratch, Group g) {
  const std::size_t hidden = parts.hidden, ffn = parts.ffn;
  const bool pre = parts.spec.norm == NormOrder::pre;
  const float eps = parts.spec.layer_norm_eps;
  const float* input = g.x;
  if (pre) {
    exec.norm(layer.first, g.x, g.rows, hidden, eps, scratch.narrow);
    input = scratch.narrow;
  }
  exec.gemm(linear_args(layer.qkv, input, hidden, g.rows, scratch.wide, 3 * hidden));

  kernels::AttentionArgs attention;
  attention.qkv = scratch.wide;
  attention.out = scratch.narrow;
  attention.offsets = scratch.offsets;
  attention.heads = parts.spec.heads;
  attention.dim = parts.spec.head_dim();
  attention.window = parts.spec.attention_window;
  attention.scale = parts.attention_scale;
  attention.pair_end = g.count * static_cast<std::size_t>(parts.spec.heads);
  attention.scratch = scratch.attention;
  exec.attention(attention);

  GemmArgs out = linear_args(layer.o, scratch.narrow, hidden, g.rows, g.x, hidden);
  out.residual = g.x;
  out.ldr = hidden;
  exec.gemm(out);
  if (!pre) exec.norm(layer.first, g.x, g.rows, hidden, eps, g.x);
  if (pre) exec.norm(layer.second, g.x, g.rows, hidden, eps, scratch.narrow);
  exec.gemm(linear_args(layer.f1, pre ? scratch.narrow : g.x, hidden, g.rows, scratch.wide, ffn, Activation::gelu));
  GemmArgs down = linear_args(layer.f2, scratch.wide, ffn, g.rows, g.x, hidden);
  down.residual = g.x;
  down.ldr = hidden;
  exec.gemm(down);
  if (!pre) exec.norm(layer.second, g.x, g.rows, hidden, eps, g.x);
}

// One chunk: sequences [begin, end) of the list, in place when their rows touch, else through scratch.gathered.
template <class Exec>
void run_chunk(const Session::State& state, const Layer& layer, const Exec& exec, const LayerScratch& scratch,
               const std::int32_t* starts, const std::int32_t* lengths, std::size_t begin, std::size_t end) {
  const std::size_t hidden = state.parts->hidden;
  scratch.offsets[0] = 0;
  for (std::size_t s = begin; s < end; ++s) scratch.offsets[s - begin + 1] = scratch.offsets[s - begin] + lengths[s];
  const std::size_t rows = static_cast<std::size_t>(scratch.offsets[end - begin]);
  float* first = state.x + static_cast<std::size_t>(starts[begin]) * hidden;
  const bool touching = starts[end - 1] + lengths[end - 1] - starts[begin] == static_cast<std::int32_t>(rows);
  if (touching) return layer_forward(*state.parts, layer, exec, scratch, Group{first, rows, end - begin});

  const auto each = [&](auto copy) {
    for (std::size_t s = begin; s < end; ++s) {
      const std::size_t bytes = static_cast<std::size_t>(lengths[s]) * hidden * sizeof(float);
      copy(state.x + static_cast<std::size_t>(starts[s]) * hidden,
           scratch.gathered + static_cast<std::size_t>(scratch.offsets[s - begin]) * hidden, bytes);
    }
  };
  each([](const float* there, float* here, std::size_t bytes) { std::memcpy(here, there, bytes); });
  layer_forward(*state.parts, layer, exec, scratch, Group{scratch.gathered, rows, end - begin});
  each([](float* there, const float* here, std::size_t bytes) { std::memcpy(there, here, bytes); });
}

// Cuts the sequences into chunks of about rows / chunks rows, none above chunk_rows; returns how many.
std::size_t cut(Session::State& state, const std::int32_t* lengths, std::size_t count, std::size_t rows,
                std::size_t workers) {
  std::size_t wanted = (rows + state.chunk_rows - 1) / state.chunk_rows;
  wanted = (wanted + workers - 1) / workers * workers;
  const std::size_t target = (rows + wanted - 1) / wanted;
  std::size_t chunks = 0, held = 0, before = 0;
  for (std::size_t s = 0; s < count; ++s) {
    const std::size_t length = static_cast<std::size_t>(lengths[s]);
    // A chunk ends before the sequence that would pass its share of all rows, or the room a worker has.
    if (held > 0 && (before + length / 2 >= (chunks + 1) * target || held + length > state.chunk_rows)) {
      state.chunk_ends[chunks++] = static_cast<std::int32_t>(s);
      held = 0;
    }
    held += length;
    before += length;
  }
  state.chunk_ends[chunks++] = static_cast<std::int32_t>(count);
  return chunks;
}

void embed_text(Session::State& state) {
  const Plan::Parts& parts = *state.parts;
  const Embedding& e = parts.embedding;
  state.table->embed(e.word, e.position, e.type, state.ids, state.positions, state.types, state.rows, parts.hidden, state.x);
  if (e.norm.gamma != nullptr)
    kernels::layernorm(*state.table, *state.pool, state.x, parts.hidden, state.rows, parts.hidden, e.norm.gamma,
                       e.norm.beta, parts.spec.layer_norm_eps, state.x, parts.hidden);
}

// One picture: patches as rows of [y][x][channel], the projection with the positions as residual, CLS in front.
template <class Gemm>
void embed_picture(const Plan::Parts& parts, const InputScratch& scratch, const std::uint8_t* pixels, float* x,
                   const Gemm& gemm) {
  const ModelSpec& spec = parts.spec;
  const Embedding& e = parts.embedding;
  const std::size_t patch = static_cast<std::size_t>(spec.patch), line = 3 * patch;
  const std::size_t stride = 3 * static_cast<std::size_t>(spec.image_width), elems = patch * line;
  const std::size_t rows = parts.extractor.rows, columns = parts.extractor.columns, hidden = parts.hidden;
  float* to = scratch.patches;
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < columns; ++c)
      for (std::size_t y = 0; y < patch; ++y) {
        const std::uint8_t* from = pixels + (r * patch + y) * stride + c * line;
        for (std::size_t i = 0; i < line; i += 3)
          for (std::size_t channel = 0; channel < 3; ++channel) *to++ = e.pixel[channel][from[i + channel]];
      }
  const std::size_t prefix = static_cast<std::size_t>(spec.prefix_tokens) * hidden;
  for (std::size_t i = 0; i < prefix; ++i) x[i] = e.prefix[i / hidden][i % hidden] + e.position[i];
  GemmArgs args = linear_args(e.patch, scratch.patches, elems, rows * columns, x + prefix, hidden);
  args.residual = e.position + prefix;
  args.ldr = hidden;
  gemm(args);
}

}  // namespace

GemmArgs linear_args(const Linear& linear, const float* a, std::size_t lda, std::size_t m, float* c, std::size_t ldc,
                     Activation activation) {
  GemmArgs args;
  args.a = a;
  args.lda = lda;
  args.packed = linear.packed;
  args.bias = linear.bias;
  args.c = c;
  args.ldc = ldc;
  args.m = m;
  args.n = linear.n;
  args.k = linear.k;
  args.n_end = linear.n;
  args.activation = activation;
  return args;
}

std::size_t rows_per_chunk(const ModelSpec& spec) {
  constexpr std::size_t kCacheFloats = 160 * 1024;  // 640 KiB of a worker's L2
  const std::size_t row = static_cast<std::size_t>(2 * spec.hidden + std::max(3 * spec.hidden, spec.ffn));
  return std::clamp<std::size_t>(kCacheFloats / row, 192, 512);
}

void embed(Session::State& state, const std::uint8_t* pixels) {
  const Plan::Parts& parts = *state.parts;
  if (parts.spec.modality == Modality::text) return embed_text(state);
  const std::size_t tokens = static_cast<std::size_t>(parts.spec.tokens());
  const std::size_t bytes =
      3 * static_cast<std::size_t>(parts.spec.image_height) * static_cast<std::size_t>(parts.spec.image_width);
  const std::size_t workers = static_cast<std::size_t>(state.pool->threads());
  if (state.inputs < workers || workers == 1) {
    for (std::size_t i = 0; i < state.inputs; ++i)
      embed_picture(parts, state.input_scratch[0], pixels + i * bytes, state.x + i * tokens * parts.hidden,
                    [&](const GemmArgs& args) { kernels::gemm(*state.table, *state.pool, args); });
    return;
  }
  state.pool->parallel(static_cast<int>(workers), [&](int worker) {
    const std::size_t w = static_cast<std::size_t>(worker);
    for (std::size_t i = state.inputs * w / workers; i < state.inputs * (w + 1) / workers; ++i)
      embed_picture(parts, state.input_scratch[w], pixels + i * bytes, state.x + i * tokens * parts.hidden,
                    [&](const GemmArgs& args) { state.table->gemm(args); });
  });
}

void run_layer(Session::State& state, std::size_t index, const std::int32_t* starts, const std::int32_t* lengths,
               std::size_t count, std::size_t rows) {
  if (count == 0) return;
  const Layer& layer = state.parts->layers[index];
  const std::size_t threads = static_cast<std::size_t>(state.pool->threads());
  const bool owned = threads > 1 && count >= threads && rows >= threads * kRowsOfOwn;
  const std::size_t chunks = cut(state, lengths, count, rows, owned ? threads : 1);
  const auto begin_of = [&](std::size_t chunk) {
    return chunk == 0 ? std::size_t{0} : static_cast<std::size_t>(state.chunk_ends[chunk - 1]);
  };
  const auto end_of = [&](std::size_t chunk) { return static_cast<std::size_t>(state.chunk_ends[chunk]); };
  if (!owned) {
    const Spread exec{*state.table, *state.pool, state.attention_stride};
    for (std::size_t c = 0; c < chunks; ++c)
      run_chunk(state, layer, exec, state.layer_scratch[0], starts, lengths, begin_of(c), end_of(c));
    return;
  }
  const Alone exec{*state.table};
  state.pool->parallel(static_cast<int>(threads), [&](int worker) {
    const std::size_t w = static_cast<std::size_t>(worker);
    for (std::size_t c = w; c < chunks; c += threads)
      run_chunk(state, layer, exec, state.layer_scratch[w], starts, lengths, begin_of(c), end_of(c));
  });
}

}  // namespace fathom::engine
