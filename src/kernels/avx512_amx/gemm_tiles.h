// GEMM on the panels of tier avx512 by AMX (include after a Kind of gemm.inc). A panel is 32 columns of words, so 16
// steps of it are two tiles of weights, side by side. A Kind has, beside what gemm.inc asks: row_bytes(k); bare(g),
// whether rows can be read where they lie; copy_row(g, row, bytes, to), 0 behind k; multiply<sum, a, b>.
//
// Shape of the work: rows are cut into even tiles of at most 16 (33 = 3 x 11), the last one moved up where they do not
// come out even: some rows are then computed twice, and finished once. A unit is up to 3 tiles of rows x one panel: its
// sums stay in registers over a piece of k, short enough for the piece of weights to stay in L1 while all units of the
// rows read it, and wait in memory between pieces. Every sum is one chain over tiles of k, whatever the unit or the
// cut. Products are so quick that bias, scales, GELU and stores would take as long again: what was summed before is
// finished in between, a few rows after every tile of k, by the vector units that multiplying tiles leaves idle.
#pragma once

#include "kernels/avx512_amx/tiles.h"

namespace fathom::kernels {
namespace {

constexpr std::size_t kTileStep = kTileMost * kPanelWidth * 4;  // bytes of a panel that meet one tile of activations
constexpr std::size_t kPieceTiles = 12;           // of k in a piece where several units read it: 24 KiB of weights
constexpr std::size_t kAhead = 8192;              // bytes
constexpr std::size_t kMostRows = 448;            // of a block: fewer read large weights more often than tiles hide
constexpr std::size_t kCopiedBytes = 512 * 1024;  // of activations
constexpr std::size_t kUnitMost = 3;              // tiles of rows

struct Cut {  // of the rows of a block into tiles
  std::size_t rows, tiles, height;
  explicit Cut(std::size_t rows_)
      : rows(rows_), tiles((rows + kTileMost - 1) / kTileMost), height((rows + tiles - 1) / tiles) {}
  std::size_t first(std::size_t tile) const {
    return tile + 1 < tiles ? tile * height : rows - height;
  }  // where its activations begin
  std::size_t waiting(std::size_t row) const {
    return row < (tiles - 1) * height ? row : row + tiles * height - rows;
  }                                                                 // where its sums lie
  std::size_t units() const { return tiles == 1 ? 1 : tiles / 2; }  // of an odd number the last has three
  std::size_t unit_tiles(std::size_t unit) const { return tiles == 1 ? 1 : unit + 1 < units() ? 2 : tiles - 2 * unit; }
};

// Rows of sums that are to become values, of one panel.
template <class Kind>
struct Unfinished {
  using Rows = void (*)(const Unfinished&, const float* sums, std::size_t row, std::size_t count);
  const typename Kind::Args* g = nullptr;
  const float* sums = nullptr;  // of the unit's first row
  const Cut* cut = nullptr;
  const std::int32_t* row_words = nullptr;  // of row 0 of the block
  Rows rows = nullptr;
  std::size_t row = 0, end = 0, at_once = 0, base = 0, column = 0, first = 0;

  void some(std::size_t count) {
    while (count > 0 && row < end) {
      const std::size_t edge = (cut->tiles - 1) * cut->height;
      std::size_t now = end - row < count ? end - row : count;
      if (row < edge && edge - row < now) now = edge - row;
      rows(*this, sums + (cut->waiting(row) - first) * kPanelWidth, row, now);
      row += now;
      count -= now;
    }
  }
};

// Values, activation, residual and stores of rows of a whole panel: little more than the arithmetic, for tiles that are
// multiplied meanwhile need the core's window of instructions.
template <class Kind, Activation kActivation, bool kResidual>
__attribute__((noinline)) void finish_panel(const Unfinished<Kind>& u, const float* sums, std::size_t row,
                                            std::size_t count) {
  constexpr std::size_t kTogether = kActivation == Activation::gelu ? 4 : 1;
  const typename Kind::Args& g = *u.g;
  const Panel<Kind> panel(g, u.column, kPanelWidth);
  float* c = g.c + (u.base + row) * g.ldc + u.column;
  const float* residual = kResidual ? g.residual + (u.base + row) * g.ldr + u.column : nullptr;
  const std::int32_t* words = u.row_words + row;
  std::size_t at = u.base + row;
  const auto some = [&]<std::size_t N>() {
    Vec v[2 * N];
#pragma GCC unroll 8
    for (std::size_t i = 0; i < 2 * N; ++i) v[i] = load(sums + i * kWidth);
    finish_whole<Kind, static_cast<int>(N)>(g, panel, at, words, v, kActivation, c, residual);
    c += N * g.ldc;
    if constexpr (kResidual) residual += N * g.ldr;
    sums += N * kPanelWidth;
    words += N;
    at += N;
    count -= N;
  };
  while (count >= kTogether) some.template operator()<kTogether>();
  if constexpr (kTogether > 1)
    while (count > 0) some.template operator()<1>();
}

template <class Kind>
void finish_part(const Unfinished<Kind>& u, const float* sums, std::size_t row,
                 std::size_t count) {  // of the columns of a panel
  const std::size_t columns = u.g->n_end - u.column;
  finish<Kind>(*u.g, Panel<Kind>(*u.g, u.column, columns), sums, count, Place{u.base + row, u.column, columns});
}

template <class Kind, Activation kActivation>
typename Unfinished<Kind>::Rows finisher(bool residual) {
  return residual ? finish_panel<Kind, kActivation, true> : finish_panel<Kind, kActivation, false>;
}

template <class Kind>
typename Unfinished<Kind>::Rows finisher(const typename Kind::Args& g) {
  const bool residual = g.residual != nullptr;
  if (g.activation == Activation::gelu) return finisher<Kind, Activation::gelu>(residual);
  if (g.activation == Activation::relu) return finisher<Kind, Activation::relu>(residual);
  return finisher<Kind, Activation::none>(residual);
}

struct Piece {  // of a panel, along k
  const char* words;
  std::size_t whole, tiles;  // tiles of k: of whole steps, and all
  const char* rest;          // the last one where steps do not come out even
  const char* at(std::size_t tile) const { return tile < whole ? words + tile * kTileStep : rest; }
};

// Weights brought near for later, so many pairs of lines with every tile of k: asked for one, the core brings its
// neighbour as well. Twice as many requests would take as much of the second cache's time as the tiles' own.
struct Coming {
  const char* from;
  std::size_t pairs;
  void some() {
    for (std::size_t i = 0; i < pairs; ++i, from += 128) prefetch_near(from);
  }
};

// op<tile>(at): the sums of T tiles of rows, and how many floats behind the first they lie.
template <int T, class Op>
inline void over_sums(std::size_t height, const Op& op) {
  const std::size_t next = height * kPanelWidth;
  op.template operator()<0>(0);
  op.template operator()<1>(kWidth);
  if constexpr (T >= 2) {
    op.template operator()<2>(next);
    op.template operator()<3>(next + kWidth);
  }
  if constexpr (T == 3) {
    op.template operator()<4>(2 * next);
    op.template operator()<5>(2 * next + kWidth);
  }
}

// One unit of T tiles of rows: a[t] points at the piece's first bytes of a tile's first row.
template <class Kind, int T>
inline void unit(const char* const (&a)[T], std::size_t stride, const Piece& piece, bool fresh, float* sums,
                 std::size_t height, Coming& coming, Unfinished<Kind>& before) {
  constexpr std::size_t kSumBytes = kPanelWidth * 4;
  if (fresh)
    over_sums<T>(height, []<int kTile>(std::size_t) { zero_tile<kTile>(); });
  else
    over_sums<T>(height, [&]<int kTile>(std::size_t at) { load_tile<kTile>(sums + at, kSumBytes); });
  for (std::size_t i = 0; i < piece.tiles; ++i) {
    const char* b = piece.at(i);
    const std::size_t at = i * kTileBytes;
    if constexpr (T == 1) {
      load_tile<7>(a[0] + at, stride);
      load_tile<6>(b, kSumBytes);
      Kind::template multiply<0, 7, 6>();
      load_tile<6>(b + kTileBytes, kSumBytes);
      Kind::template multiply<1, 7, 6>();
    } else if constexpr (T == 2) {
      load_tile<6>(b, kSumBytes);
      load_tile<4>(a[0] + at, stride);
      Kind::template multiply<0, 4, 6>();
      load_tile<5>(a[1] + at, stride);
      Kind::template multiply<2, 5, 6>();
      load_tile<6>(b + kTileBytes, kSumBytes);
      Kind::template multiply<1, 4, 6>();
      Kind::template multiply<3, 5, 6>();
    } else {
      load_tile<6>(b, kSumBytes);
      load_tile<7>(a[0] + at, stride);
      Kind::template multiply<0, 7, 6>();
      load_tile<7>(a[1] + at, stride);
      Kind::template multiply<2, 7, 6>();
      load_tile<7>(a[2] + at, stride);
      Kind::template multiply<4, 7, 6>();
      load_tile<6>(b + kTileBytes, kSumBytes);
      Kind::template multiply<5, 7, 6>();
      load_tile<7>(a[1] + at, stride);
      Kind::template multiply<3, 7, 6>();
      load_tile<7>(a[0] + at, stride);
      Kind::template multiply<1, 7, 6>();
    }
    coming.some();
    if (before.row < before.end) before.some(before.at_once);
  }
  over_sums<T>(height, [&]<int kTile>(std::size_t at) { store_tile<kTile>(sums + at, kSumBytes); });
}

template <class Kind>
struct TiledBlock {  // rows of c computed together
  const typename Kind::Args& g;
  const Weights<Kind> weights{g};
  const Cut cut;
  const std::size_t base;  // the block's first row
  const char* a;           // its activations
  const std::size_t stride;
  const bool again;  // more blocks follow, which read the same weights
  const std::size_t depth = (weights.steps + kTileMost - 1) / kTileMost;
  const std::size_t most = cut.units() == 1 ? depth : kPieceTiles;  // tiles of k in a piece
  float* sums;                                                      // of two panels; of two units where k is one piece
  const std::int32_t* row_words;
  const typename Unfinished<Kind>::Rows whole_panels = finisher<Kind>(g);

  Unfinished<Kind> before{};
  std::size_t units_done = 0;

  template <int T>
  void run(std::size_t tile, std::size_t begin, const Piece& piece, float* to, Coming& coming) {
    const char* at[T];
    for (int t = 0; t < T; ++t) at[t] = a + cut.first(tile + static_cast<std::size_t>(t)) * stride + begin * kTileBytes;
    unit<Kind, T>(at, stride, piece, begin == 0, to, cut.height, coming, before);
  }

  void panel(std::size_t column, bool last_panel, float* rest) {
    const char* words = reinterpret_cast<const char*>(weights.panel(column));
    const std::size_t whole = weights.steps / kTileMost, left = weights.steps % kTileMost;
    if (left > 0) {
      for (std::size_t i = 0; i < left * kPanelWidth; i += kWidth)
        store(rest + i, load(words + whole * kTileStep + i * 4));
      for (std::size_t i = left * kPanelWidth; i < kTileMost * kPanelWidth; i += kWidth) store(rest + i, zero());
      order_stores();
    }
    const std::size_t units = cut.units(), waiting_floats = cut.tiles * cut.height * kPanelWidth;
    for (std::size_t begin = 0; begin < depth; begin += most) {
      const std::size_t tiles = depth - begin < most ? depth - begin : most;
      const bool last = begin + tiles == depth;
      const Piece piece{words + begin * kTileStep, whole - begin < tiles ? whole - begin : tiles, tiles,
                        reinterpret_cast<const char*>(rest)};
      // What is read next: maps are packed in the order of their use. One unit alone uses all at once, so it asks for
      // what it uses soon.
      const char* then = piece.words + (units == 1 ? kAhead : tiles * kTileStep);
      if (last && last_panel && again) then = reinterpret_cast<const char*>(weights.panel(g.n_begin));
      Coming coming{then, (kTileStep / 128 + units - 1) / units};
      for (std::size_t u = 0; u < units; ++u) {
        const std::size_t tile = 2 * u, count = cut.unit_tiles(u);
        float* to = depth <= most ? sums + units_done % 2 * kUnitMost * kTileMost * kPanelWidth
                                  : sums + column / kPanelWidth % 2 * waiting_floats + tile * cut.height * kPanelWidth;
        if (count == 1) run<1>(tile, begin, piece, to, coming);
        if (count == 2) run<2>(tile, begin, piece, to, coming);
        if (count == 3) run<3>(tile, begin, piece, to, coming);
        if (!last) continue;
        before.some(before.end - before.row);
        const std::size_t first_row = tile * cut.height,
                          end_row = tile + count < cut.tiles ? (tile + count) * cut.height : cut.rows;
        const std::size_t each = (end_row - first_row + tiles - 1) / tiles,
                          abreast = g.activation == Activation::gelu ? 4 : 1;
        before = {&g,
                  to,
                  &cut,
                  row_words,
                  g.n_end - column < kPanelWidth ? finish_part<Kind> : whole_panels,
                  first_row,
                  end_row,
                  (each + abreast - 1) / abreast * abreast,
                  base,
                  column,
                  first_row};
        ++units_done;
      }
    }
  }

  void run_all() {
    alignas(64) float rest[kTileMost * kPanelWidth];
    for (std::size_t column = g.n_begin; column < g.n_end; column += kPanelWidth)
      panel(column, column + kPanelWidth >= g.n_end, rest);
    before.some(before.end - before.row);
  }
};

template <class Kind>
void gemm_tiles(const typename Kind::Args& g) {
  static_assert(kCopiedBytes / sizeof(float) + 2 * (kMostRows + 2 * kTileMost) * kPanelWidth == kTiledGemmScratch);
  char* const copied = reinterpret_cast<char*>(g.scratch);
  float* const sums = g.scratch + kCopiedBytes / sizeof(float);
  std::int32_t row_words[kMostRows] = {};
  const bool bare = Kind::bare(g);
  const std::size_t line = (Kind::row_bytes(g.k) + kTileBytes - 1) / kTileBytes,
                    stride = bare ? g.lda * sizeof(*g.a) : (line | 1) * kTileBytes;
  const std::size_t fit = bare || kCopiedBytes / stride > kMostRows ? kMostRows : kCopiedBytes / stride;
  const std::size_t blocks = (g.m + fit - 1) / fit;
  std::size_t height = 0;
  for (std::size_t i = 0; i < blocks; ++i) {
    const std::size_t row = g.m * i / blocks, rows = g.m * (i + 1) / blocks - row;
    const Cut cut(rows);
    if (cut.height != height) shape_tiles(height = cut.height);
    if (!bare) {
      for (std::size_t r = 0; r < rows; ++r) Kind::copy_row(g, row + r, line * kTileBytes, copied + r * stride);
      order_stores();
    }
    for (std::size_t r = 0; r < rows; ++r) row_words[r] = Kind::row_word(g, row + r);
    const char* a = bare ? reinterpret_cast<const char*>(g.a + row * g.lda) : copied;
    TiledBlock<Kind>{.g = g,
                     .cut = cut,
                     .base = row,
                     .a = a,
                     .stride = stride,
                     .again = i + 1 < blocks,
                     .sums = sums,
                     .row_words = row_words}
        .run_all();
  }
  release_tiles();
}

}  // namespace
}  // namespace fathom::kernels
