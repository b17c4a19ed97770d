#include "engine/forward.h"

#include <algorithm>
#include <cstring>

#include "base/cpu.h"
#include "kernels/parallel.h"

namespace fathom::engine {
namespace {

using kernels::Activation;
using kernels::AttentionArgs;
using kernels::GemmArgs;
using kernels::Int8GemmArgs;

constexpr std::size_t kRowsOfOwn = 64;  // rows a worker needs before it gets sequences of its own

// The two ways to spend threads: kernels called alone by a worker that owns its sequences, or spread over the pool.
// After a GEMM may come the attention that reads its output.
struct Alone {
  const kernels::Table& table;
  float* gemm_scratch;
  void reads(RowsRead::Map, const GemmArgs&, std::size_t) const {}
  void gemm(const GemmArgs& args, const AttentionArgs* mixing) const { run(table.gemm, args, mixing); }
  void gemm_bf16(const GemmArgs& args, const AttentionArgs* mixing) const { run(table.gemm_bf16, args, mixing); }
  void gemm_int8(const Int8GemmArgs& args, const AttentionArgs* mixing) const { run(table.gemm_int8, args, mixing); }
  void quantize(const float* x, std::size_t ldx, std::size_t rows, std::size_t width, const QuantizedRows& to) const {
    table.quantize_rows(x, ldx, rows, width, to.q, kernels::int8_row_bytes(width), to.scale, to.zero);
  }
  void norm_quantize(const Norm& n, const float* x, std::size_t rows, std::size_t width, float eps, float* y,
                     const QuantizedRows& to) const {
    table.layernorm_quantize(x, width, rows, width, n.gamma, n.beta, eps, y, width, to.q,
                             kernels::int8_row_bytes(width), to.scale, to.zero);
  }
  void norm(const Norm& n, const float* x, std::size_t rows, std::size_t width, float eps, float* y) const {
    table.layernorm(x, width, rows, width, n.gamma, n.beta, eps, y, width);
  }

 private:
  template <class Args>
  void run(void (*kernel)(const Args&) noexcept, Args args, const AttentionArgs* mixing) const {
    args.scratch = gemm_scratch;
    kernel(args);
    if (mixing) table.attention(*mixing);
  }
};

struct Spread {
  const kernels::Table& table;
  ThreadPool& pool;
  std::size_t attention_stride;
  float* gemm_scratch;
  void reads(RowsRead::Map, const GemmArgs&, std::size_t) const {}
  void gemm(const GemmArgs& args, const AttentionArgs* mixing) const { spread(kernels::gemm, args, mixing); }
  void gemm_bf16(const GemmArgs& args, const AttentionArgs* mixing) const { spread(kernels::gemm_bf16, args, mixing); }
  void gemm_int8(const Int8GemmArgs& args, const AttentionArgs* mixing) const {
    spread(kernels::gemm_int8, args, mixing);
  }
  void quantize(const float* x, std::size_t ldx, std::size_t rows, std::size_t width, const QuantizedRows& to) const {
    kernels::quantize_rows(table, pool, x, ldx, rows, width, to.q, kernels::int8_row_bytes(width), to.scale, to.zero);
  }
  void norm_quantize(const Norm& n, const float* x, std::size_t rows, std::size_t width, float eps, float* y,
                     const QuantizedRows& to) const {
    kernels::layernorm_quantize(table, pool, x, width, rows, width, n.gamma, n.beta, eps, y, width, to.q,
                                kernels::int8_row_bytes(width), to.scale, to.zero);
  }
  void norm(const Norm& n, const float* x, std::size_t rows, std::size_t width, float eps, float* y) const {
    kernels::layernorm(table, pool, x, width, rows, width, n.gamma, n.beta, eps, y, width);
  }

 private:
  template <class Args>
  void spread(void (*kernel)(const kernels::Table&, ThreadPool&, Args, const kernels::Mixing*), Args args,
              const AttentionArgs* mixing) const {
    args.scratch = gemm_scratch;
    if (!mixing) return kernel(table, pool, args, nullptr);
    const kernels::Mixing with_scratch{*mixing, attention_stride};
    kernel(table, pool, args, &with_scratch);
  }
};

Alone alone(const Session::State& state, std::size_t worker) { return {*state.table, state.gemm_scratch_of(worker)}; }
Spread spread(const Session::State& state) {
  return {*state.table, *state.pool, state.attention_stride, state.gemm_scratch};
}

struct Watched : Spread {  // what every map reads is shown
  const Watcher& see;
  std::size_t layer;
  void reads(RowsRead::Map map, const GemmArgs& args, std::size_t width) const {
    see({layer, map, args.a, args.lda, args.m, width});
  }
};

struct Group {  // sequences of one chunk: contiguous rows, offsets from 0
  float* x;
  std::size_t rows, count;
};

// args as linear_args made them, in the map's precision. `ready`: `scratch` holds args.a's rows already.
template <class Exec>
void run_linear(const Exec& exec, const Linear& map, const GemmArgs& args, const QuantizedRows& scratch,
                bool ready = false, const AttentionArgs* mixing = nullptr) {
  if (map.precision == Precision::fp32) return exec.gemm(args, mixing);
  if (map.precision == Precision::bf16) return exec.gemm_bf16(args, mixing);
  if (!ready) exec.quantize(args.a, args.lda, args.m, map.k, scratch);
  Int8GemmArgs quantized;
  static_cast<kernels::GemmOutput&>(quantized) = args;
  quantized.a = scratch.q;
  quantized.lda = kernels::int8_row_bytes(map.k);
  quantized.row_scale = scratch.scale;
  quantized.row_zero = scratch.zero;
  quantized.packed = map.packed;
  exec.gemm_int8(quantized, mixing);
}

// args as linear_args made them of map.out, with the rows that the map reads; in between lies scratch.inner. `ready`
// and `mixing` as above.
template <class Exec>
void run_map(const Exec& exec, RowsRead::Map which, const Map& map, GemmArgs args, const LayerScratch& scratch,
             bool ready = false, const AttentionArgs* mixing = nullptr) {
  exec.reads(which, args, map.first().k);
  if (map.factor.n > 0) {
    run_linear(exec, map.factor, linear_args(map.factor, args.a, args.lda, args.m, scratch.inner, map.factor.n),
               scratch.quantized, ready);
    args.a = scratch.inner;
    args.lda = map.factor.n;
    ready = false;
  }
  run_linear(exec, map.out, args, scratch.quantized, ready, mixing);
}

// x's rows normed into y, and quantized as well if the map that reads them next is int8.
template <class Exec>
void run_norm(const Exec& exec, const Norm& norm, const float* x, const Plan::Parts& parts, std::size_t rows, float* y,
              const Map& reader, const QuantizedRows& scratch) {
  if (reader.out.precision == Precision::int8)
    return exec.norm_quantize(norm, x, rows, parts.hidden, parts.spec.layer_norm_eps, y, scratch);
  exec.norm(norm, x, rows, parts.hidden, parts.spec.layer_norm_eps, y);
}

template <class Exec>
void layer_forward(const Plan::Parts& parts, const Layer& layer, const Exec& exec, const LayerScratch& scratch,
                   Group g) {
  const std::size_t hidden = parts.hidden, mixed = parts.mixed, ffn = parts.ffn;
  const bool pre = parts.spec.norm == NormOrder::pre;
  const QuantizedRows& quantized = scratch.quantized;
  if (pre) run_norm(exec, layer.first, g.x, parts, g.rows, scratch.narrow, layer.qkv, quantized);
  const float* input = pre ? scratch.narrow : g.x;

  AttentionArgs attention;
  attention.qkv = scratch.wide;
  attention.out = scratch.narrow;
  attention.offsets = scratch.offsets;
  attention.heads = parts.spec.heads;
  attention.dim = parts.spec.head_dim();
  attention.linear = parts.spec.attention == Attention::linear;
  attention.window = parts.spec.attention_window;
  attention.scale = parts.attention_scale;
  attention.pair_end = g.count * static_cast<std::size_t>(parts.spec.heads);
  attention.scratch = scratch.attention;
  run_map(exec, RowsRead::Map::qkv, layer.qkv,
          linear_args(layer.qkv.out, input, hidden, g.rows, scratch.wide, 3 * mixed), scratch, pre, &attention);

  GemmArgs out = linear_args(layer.o.out, scratch.narrow, mixed, g.rows, g.x, hidden);
  out.residual = g.x;
  out.ldr = hidden;
  run_map(exec, RowsRead::Map::o, layer.o, out, scratch);
  float* normed = pre ? scratch.narrow : g.x;
  run_norm(exec, pre ? layer.second : layer.first, g.x, parts, g.rows, normed, layer.f1, quantized);
  run_map(exec, RowsRead::Map::f1, layer.f1,
          linear_args(layer.f1.out, normed, hidden, g.rows, scratch.wide, ffn, Activation::gelu), scratch, true);
  GemmArgs down = linear_args(layer.f2.out, scratch.wide, ffn, g.rows, g.x, hidden);
  down.residual = g.x;
  down.ldr = hidden;
  run_map(exec, RowsRead::Map::f2, layer.f2, down, scratch);
  if (!pre) exec.norm(layer.second, g.x, g.rows, hidden, parts.spec.layer_norm_eps, g.x);
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

// Cuts sequences [begin, end) into even chunks of at most chunk_rows rows; their ends follow the first `chunks` ones in
// chunk_ends. Returns how many there are then.
std::size_t cut(Session::State& state, const std::int32_t* lengths, std::size_t begin, std::size_t end,
                std::size_t chunks) {
  std::size_t rows = 0;
  for (std::size_t s = begin; s < end; ++s) rows += static_cast<std::size_t>(lengths[s]);
  const std::size_t wanted = (rows + state.chunk_rows - 1) / state.chunk_rows;
  std::size_t held = 0, before = 0, closed = 0;
  for (std::size_t s = begin; s < end; ++s) {
    const std::size_t length = static_cast<std::size_t>(lengths[s]);
    // A chunk ends before the sequence that would pass its share of all rows, or the room a worker has.
    if (held > 0 && ((before + length / 2) * wanted >= (closed + 1) * rows || held + length > state.chunk_rows)) {
      state.chunk_ends[chunks + closed++] = static_cast<std::int32_t>(s);
      held = 0;
    }
    held += length;
    before += length;
  }
  if (held > 0) state.chunk_ends[chunks + closed++] = static_cast<std::int32_t>(end);
  return chunks + closed;
}

// Shares sequences out to workers by rows, then cuts each share; worker w runs the chunks up to its end_chunk.
void share_out(Session::State& state, const std::int32_t* lengths, std::size_t count, std::size_t rows,
               std::size_t workers) {
  std::size_t chunks = 0, s = 0, before = 0;
  for (std::size_t w = 0; w < workers; ++w) {
    const std::size_t first = s;
    for (; s < count &&
           (w + 1 == workers || (before + static_cast<std::size_t>(lengths[s]) / 2) * workers < (w + 1) * rows);
         ++s)
      before += static_cast<std::size_t>(lengths[s]);
    chunks = cut(state, lengths, first, s, chunks);
    state.layer_scratch[w].end_chunk = chunks;
  }
}

// Rows of a large table are read from its file: through the mapping each would bring 64 KB of its neighbours into
// memory.
void fetch_words(const WordTable& words, WordCache& cache, const std::int32_t* ids, std::size_t count, float* x) {
  for (std::size_t i = 0; i < count; ++i, x += words.table.width) {
    const std::size_t id = static_cast<std::size_t>(ids[i]);
    if (words.here != nullptr)
      std::memcpy(x, words.here + id * words.table.width, words.table.width * sizeof(float));
    else
      words.table.widen_row(id, cache.row(words, id), x);
  }
}

// x = projected rows of the words, as many at once as a layer's buffers hold.
void project_words(Session::State& state, const std::int32_t* ids, std::size_t count, float* x) {
  const Embedding& e = state.parts->embedding;
  const LayerScratch& scratch = state.layer_scratch[0];
  for (std::size_t done = 0, some = 0; done < count; done += some, x += some * state.parts->hidden) {
    some = std::min(state.chunk_rows, count - done);
    fetch_words(e.word, state.word_caches[0], ids + done, some, scratch.wide);
    run_linear(spread(state), e.projection,
               linear_args(e.projection, scratch.wide, e.projection.k, some, x, state.parts->hidden),
               scratch.quantized);
  }
}

// x = word + position + type of `count` tokens; x holds the words where they are projected.
void embed_words(const Session::State& state, WordCache& cache, const std::int32_t* ids, const std::int32_t* positions,
                 const std::int32_t* types, std::size_t count, float* x) {
  constexpr std::size_t kAtOnce = 16;
  constexpr std::int32_t kInOrder[kAtOnce] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const Embedding& e = state.parts->embedding;
  const std::size_t hidden = state.parts->hidden;
  for (std::size_t done = 0, some = 0; done < count; done += some, x += some * hidden) {
    some = std::min(kAtOnce, count - done);
    const bool here = e.word.here != nullptr && e.projection.n == 0;
    if (!here && e.projection.n == 0) fetch_words(e.word, cache, ids + done, some, x);
    state.table->embed(here ? e.word.here : x, e.position, e.type, here ? ids + done : kInOrder, positions + done,
                       types == nullptr ? nullptr : types + done, some, hidden, x);
  }
}

void embed_text(Session::State& state) {
  constexpr std::size_t kAlone =
      16;  // rows: reading one takes most of a microsecond, asking a thread that spins as much
  constexpr std::size_t kNumbers =
      4096;  // of fewer the layers, too, are this thread's alone, and one that has parked would be woken for nothing
  const Plan::Parts& parts = *state.parts;
  const Embedding& e = parts.embedding;
  for (std::size_t s = 0, from = 0; s < state.active;) {  // inputs whose rows touch at once
    const std::size_t first = static_cast<std::size_t>(state.starts[s]);
    std::size_t rows = 0;
    for (; s < state.active && static_cast<std::size_t>(state.starts[s]) == first + rows; ++s)
      rows += static_cast<std::size_t>(state.lengths[s]);
    float* x = state.x + first * parts.hidden;
    if (e.projection.n > 0) project_words(state, state.ids + from, rows, x);
    const int pieces = rows < kAlone || rows * parts.hidden < kNumbers ? 1 : state.pool->threads();
    state.pool->parallel(pieces, [&](int piece) {
      const std::size_t i = static_cast<std::size_t>(piece), n = static_cast<std::size_t>(pieces), begin = rows * i / n,
                        count = rows * (i + 1) / n - begin;
      const std::size_t at = from + begin;
      float* y = x + begin * parts.hidden;
      embed_words(state, state.word_caches[i], state.ids + at, state.positions + at,
                  state.types == nullptr ? nullptr : state.types + at, count, y);
      if (e.norm.gamma != nullptr)
        state.table->layernorm(y, parts.hidden, count, parts.hidden, e.norm.gamma, e.norm.beta,
                               parts.spec.layer_norm_eps, y, parts.hidden);
    });
    from += rows;
  }
}

// One picture's patches as rows of [y][x][channel]; `value`(pixel, channel) reads it.
template <class Value>
void cut_patches(const Plan::Parts& parts, float* to, const Value& value) {
  const std::size_t patch = static_cast<std::size_t>(parts.spec.patch),
                    width = static_cast<std::size_t>(parts.spec.image_width);
  for (std::size_t r = 0; r < parts.extractor.rows; ++r)
    for (std::size_t c = 0; c < parts.extractor.columns; ++c)
      for (std::size_t y = 0; y < patch; ++y) {
        const std::size_t at = (r * patch + y) * width + c * patch;
        for (std::size_t x = 0; x < patch; ++x)
          for (std::size_t channel = 0; channel < 3; ++channel) *to++ = value(at + x, channel);
      }
}

// One picture: the projection of its patches with the positions as residual, CLS in front.
template <class Exec>
void embed_picture(const Plan::Parts& parts, const InputScratch& scratch, const Batch& batch, std::size_t index,
                   float* x, const Exec& exec) {
  const ModelSpec& spec = parts.spec;
  const Embedding& e = parts.embedding;
  const std::size_t elems = static_cast<std::size_t>(spec.patch_elems()), hidden = parts.hidden;
  const std::size_t rows = parts.extractor.rows, columns = parts.extractor.columns;
  const std::size_t plane = static_cast<std::size_t>(spec.image_height) * static_cast<std::size_t>(spec.image_width);
  if (batch.values != nullptr) {
    const float* from = batch.values + 3 * index * plane;
    cut_patches(parts, scratch.patches,
                [=](std::size_t pixel, std::size_t channel) { return from[channel * plane + pixel]; });
  } else {
    const std::uint8_t* from = batch.pixels + 3 * index * plane;
    cut_patches(parts, scratch.patches, [&e, from](std::size_t pixel, std::size_t channel) {
      return e.pixel[channel][from[3 * pixel + channel]];
    });
  }
  const std::size_t prefix = static_cast<std::size_t>(spec.prefix_tokens) * hidden;
  for (std::size_t i = 0; i < prefix; ++i) x[i] = e.prefix[i / hidden][i % hidden] + e.position[i];
  GemmArgs args = linear_args(e.patch, scratch.patches, elems, rows * columns, x + prefix, hidden);
  args.residual = e.position + prefix;
  args.ldr = hidden;
  run_linear(exec, e.patch, args, scratch.quantized);
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

std::size_t rows_per_chunk(const ModelSpec& spec, Precision precision, const kernels::Table& table) {
  constexpr std::size_t kCacheFloats = 160 * 1024;  // 640 KiB of a worker's L2
  constexpr std::size_t kLargeCache = 2 * 1024 * 1024;
  constexpr std::size_t kBytesARowHides =
      32 * 1024;  // of weights: as long as tiles multiply one row, so much is read (measured)
  const std::size_t hidden = static_cast<std::size_t>(spec.hidden), ffn = static_cast<std::size_t>(spec.ffn);
  const std::size_t fit =
      kCacheFloats / (2 * hidden + std::max(3 * hidden, ffn) + static_cast<std::size_t>(spec.ranks.most()));
  const std::size_t weights = 4 * hidden * hidden + 2 * hidden * ffn,
                    bytes = precision == Precision::int8 ? weights : 2 * weights;
  const std::size_t hiding = table.tiles && precision != Precision::fp32 ? bytes / kBytesARowHides : 0;
  // Where buffers of more rows would leave the cache, and weights are read quickly enough for few: a picture or two
  // texts.
  const std::size_t cache = core_cache_bytes(),
                    least = precision != Precision::fp32 && cache > 0 && cache < kLargeCache ? 48 : 144;
  return std::clamp<std::size_t>(std::max(fit, hiding), least, 512);
}

Status embed(Session::State& state, const Batch& batch) {
  const Plan::Parts& parts = *state.parts;
  if (parts.spec.modality == Modality::text) {
    embed_text(state);
    for (WordCache& cache : state.word_caches)
      if (const auto row = cache.take_failed()) return damaged_row(parts, *row);
    return {};
  }
  const std::size_t n = state.active, workers = static_cast<std::size_t>(state.pool->threads());
  const auto rows_of = [&](std::size_t slot) {
    return state.x + static_cast<std::size_t>(state.starts[slot]) * parts.hidden;
  };
  if (n < workers || workers == 1) {
    for (std::size_t s = 0; s < n; ++s)
      embed_picture(parts, state.input_scratch[0], batch, s, rows_of(s), spread(state));
    return {};
  }
  state.pool->parallel(static_cast<int>(workers), [&](int worker) {
    const std::size_t w = static_cast<std::size_t>(worker);
    for (std::size_t s = n * w / workers; s < n * (w + 1) / workers; ++s)
      embed_picture(parts, state.input_scratch[w], batch, s, rows_of(s), alone(state, w));
  });
  return {};
}

void run_layer_watched(Session::State& state, std::size_t index, const std::int32_t* starts,
                       const std::int32_t* lengths, std::size_t count, const Watcher& see) {
  if (!state.may_use(state.parts->layer_unit(index))) return;
  const std::size_t chunks = cut(state, lengths, 0, count, 0);
  for (std::size_t c = 0, begin = 0; c < chunks; ++c) {
    const Watched exec{spread(state), see, index};
    const std::size_t end = static_cast<std::size_t>(state.chunk_ends[c]);
    run_chunk(state, state.parts->layers[index], exec, state.layer_scratch[0], starts, lengths, begin, end);
    begin = end;
  }
}

void run_layer(Session::State& state, std::size_t index, const std::int32_t* starts, const std::int32_t* lengths,
               std::size_t count, std::size_t rows) {
  if (count == 0) return;
  if (state.residency) state.residency->enter(index, count);
  if (!state.may_use(state.parts->layer_unit(index))) return;
  const Layer& layer = state.parts->layers[index];
  const std::size_t threads = static_cast<std::size_t>(state.pool->threads());
  const bool owned = threads > 1 && count >= threads && rows >= threads * kRowsOfOwn;
  const auto run_chunks = [&](const auto& exec, const LayerScratch& scratch, std::size_t first, std::size_t end) {
    for (std::size_t c = first; c < end; ++c)
      run_chunk(state, layer, exec, scratch, starts, lengths,
                c == 0 ? 0 : static_cast<std::size_t>(state.chunk_ends[c - 1]),
                static_cast<std::size_t>(state.chunk_ends[c]));
  };
  if (!owned) return run_chunks(spread(state), state.layer_scratch[0], 0, cut(state, lengths, 0, count, 0));
  share_out(state, lengths, count, rows, threads);
  state.pool->parallel(static_cast<int>(threads), [&](int worker) {
    const std::size_t w = static_cast<std::size_t>(worker);
    run_chunks(alone(state, w), state.layer_scratch[w], w == 0 ? 0 : state.layer_scratch[w - 1].end_chunk,
               state.layer_scratch[w].end_chunk);
  });
}

}  // namespace fathom::engine
