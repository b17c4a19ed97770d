#include "kernels/parallel.h"

#include <algorithm>

#include "base/check.h"

namespace fathom::kernels {
namespace {

// A worker that still spins joins in about 1 us, one that has parked in about 33 us (measured): work below about 20 us
// stays on the calling thread. A weight counts as 4 multiply-adds more, for being read: one row is bound by that.
constexpr std::size_t kAloneWork = 1'000'000;
constexpr std::size_t kAloneRows =
    8'000;  // numbers of rows to normalise or to quantize: half is on the other thread's core
constexpr std::size_t kRowsOfOwn = 96;  // with this many rows a thread, cut rows: weights then stay in its cache

std::size_t ceil_div(std::size_t a, std::size_t b) { return (a + b - 1) / b; }

// Multiply-accumulates of the pairs of one sequence, and a share for its exponentials and transposition.
std::size_t pair_cost(const AttentionArgs& args, std::size_t sequence) {
  const std::size_t length = static_cast<std::size_t>(args.offsets[sequence + 1] - args.offsets[sequence]);
  const std::size_t dim = static_cast<std::size_t>(args.dim);
  const std::size_t seen = args.linear   ? dim
                           : args.window ? std::min(length, static_cast<std::size_t>(2 * args.window + 1))
                                         : length;
  return length * (seen + 8) * 2 * dim;
}

void skip_rows(GemmArgs& args, std::size_t rows) { args.a += rows * args.lda; }
void skip_rows(Int8GemmArgs& args, std::size_t rows) {
  args.a += rows * args.lda;
  args.row_scale += rows;
  args.row_zero += rows;
}

// One GEMM of any precision, cut by rows or by panels. `kernel` computes one piece; `lighter` is how many times less a
// multiply-add of this precision may cost than one in fp32.
template <class Args>
struct Spreading {
  const Table& table;
  ThreadPool& pool;
  void (*kernel)(const Args&) noexcept;
  std::size_t lighter;

  std::size_t threads() const { return static_cast<std::size_t>(pool.threads()); }
  bool alone(const Args& args) const {
    return threads() == 1 || (args.m + 4) * (args.n_end - args.n_begin) * args.k < kAloneWork * lighter;
  }
  bool by_rows(const Args& args) const { return args.m >= kRowsOfOwn * threads(); }

  Args own_args(Args args, int worker) const {
    args.scratch += static_cast<std::size_t>(worker) * table.gemm_scratch;
    return args;
  }

  void run(const Args& args) const {
    if (alone(args)) return kernel(args);
    if (by_rows(args)) {
      const std::size_t pieces = threads() * ceil_div(args.m, threads() * 2 * kRowsOfOwn);
      pool.parallel(static_cast<int>(pieces), [&](int index, int worker) {
        const std::size_t i = static_cast<std::size_t>(index);
        const std::size_t begin = args.m * i / pieces, end = args.m * (i + 1) / pieces;
        Args part = own_args(args, worker);
        part.m = end - begin;
        skip_rows(part, begin);
        part.c += begin * args.ldc;
        if (part.residual) part.residual += begin * args.ldr;
        kernel(part);
      });
      return;
    }
    const std::size_t panels = ceil_div(args.n_end - args.n_begin, table.panel), pieces = std::min(threads(), panels);
    pool.parallel(static_cast<int>(pieces), [&](int index, int worker) {
      const std::size_t i = static_cast<std::size_t>(index);
      Args part = own_args(args, worker);
      part.n_begin = args.n_begin + panels * i / pieces * table.panel;
      part.n_end = std::min(args.n_end, args.n_begin + panels * (i + 1) / pieces * table.panel);
      kernel(part);
    });
  }

  // Every thread as many heads, in whole panels; it makes their q, k and v and mixes them, while others still read a.
  bool by_heads(const Args& args, const AttentionArgs& mixing) const {
    const std::size_t heads = static_cast<std::size_t>(mixing.heads), dim = static_cast<std::size_t>(mixing.dim);
    const bool apart = static_cast<const void*>(args.a) != mixing.out;
    return apart && !alone(args) && !by_rows(args) && heads % threads() == 0 &&
           3 * heads / threads() * dim % table.panel == 0;
  }
  void run_heads(const Args& args, const Mixing& mixing) const {
    const std::size_t all = static_cast<std::size_t>(mixing.args.heads), heads = all / threads(),
                      columns = 3 * heads * static_cast<std::size_t>(mixing.args.dim);
    pool.parallel(static_cast<int>(threads()), [&](int index, int worker) {
      const std::size_t i = static_cast<std::size_t>(index);
      Args own = own_args(args, worker);
      own.n_begin = i * columns;
      own.n_end = own.n_begin + columns;
      kernel(own);
      AttentionArgs part = mixing.args;
      part.scratch += i * mixing.scratch_stride;
      for (std::size_t first = part.pair_begin, end = part.pair_end; first < end; first += all) {
        part.pair_begin = first + i * heads;
        part.pair_end = part.pair_begin + heads;
        table.attention(part);
      }
    });
  }

  void operator()(Args args, const Mixing* mixing) const {
    if (args.n_end == 0) args.n_end = args.n;
    FATHOM_CHECK(args.scratch != nullptr || table.gemm_scratch == 0, "a GEMM without scratch");
    FATHOM_DCHECK(!mixing || (args.n_end - args.n_begin == args.n &&
                              args.n == 3 * static_cast<std::size_t>(mixing->args.heads * mixing->args.dim)),
                  "all of q, k and v");
    if (mixing && by_heads(args, mixing->args)) return run_heads(args, *mixing);
    run(args);
    if (mixing) attention(table, pool, *mixing);
  }
};

// Calls part(begin, end) for rows cut evenly over the pool, or once for all where `numbers` to pass over are few.
template <class Part>
void spread_rows(ThreadPool& pool, std::size_t rows, std::size_t numbers, const Part& part) {
  const std::size_t pieces = static_cast<std::size_t>(pool.threads());
  if (pieces == 1 || numbers < kAloneRows) return part(0, rows);
  pool.parallel(static_cast<int>(pieces), [&](int index) {
    const std::size_t i = static_cast<std::size_t>(index);
    part(rows * i / pieces, rows * (i + 1) / pieces);
  });
}

}  // namespace

void gemm(const Table& table, ThreadPool& pool, GemmArgs args, const Mixing* mixing) {
  Spreading<GemmArgs>{table, pool, table.gemm, 1}(args, mixing);
}

void gemm_bf16(const Table& table, ThreadPool& pool, GemmArgs args, const Mixing* mixing) {
  Spreading<GemmArgs>{table, pool, table.gemm_bf16, 1}(args, mixing);
}

void gemm_int8(const Table& table, ThreadPool& pool, Int8GemmArgs args, const Mixing* mixing) {
  Spreading<Int8GemmArgs>{table, pool, table.gemm_int8, 2}(args, mixing);
}

void quantize_rows(const Table& table, ThreadPool& pool, const float* x, std::size_t ldx, std::size_t rows,
                   std::size_t k, std::uint8_t* q, std::size_t ldq, float* scale, std::int32_t* zero) {
  spread_rows(pool, rows, rows * k, [&](std::size_t begin, std::size_t end) {
    table.quantize_rows(x + begin * ldx, ldx, end - begin, k, q + begin * ldq, ldq, scale + begin, zero + begin);
  });
}

std::size_t attention_scratch_stride(const Table& table, std::size_t longest, std::size_t dim, bool linear) {
  return ceil_div(table.attention_scratch(longest, dim, linear), 16) * 16;
}

void attention(const Table& table, ThreadPool& pool, const Mixing& mixing) {
  const AttentionArgs& args = mixing.args;
  const std::size_t heads = static_cast<std::size_t>(args.heads);
  std::size_t total = 0;
  for (std::size_t pair = args.pair_begin; pair < args.pair_end; ++pair) total += pair_cost(args, pair / heads);
  const std::size_t pieces = static_cast<std::size_t>(pool.threads());
  if (pieces == 1 || total < kAloneWork) return table.attention(args);
  pool.parallel(static_cast<int>(pieces), [&](int index) {
    // Piece i takes the pairs whose cost so far lies in [total*i/pieces, total*(i+1)/pieces).
    const std::size_t i = static_cast<std::size_t>(index);
    AttentionArgs part = args;
    part.scratch = args.scratch + i * mixing.scratch_stride;
    part.pair_begin = part.pair_end = args.pair_end;
    std::size_t before = 0;
    for (std::size_t pair = args.pair_begin; pair < args.pair_end; ++pair) {
      if (before >= total * i / pieces && part.pair_begin == args.pair_end) part.pair_begin = pair;
      if (before >= total * (i + 1) / pieces) {
        part.pair_end = pair;
        break;
      }
      before += pair_cost(args, pair / heads);
    }
    if (part.pair_begin < part.pair_end) table.attention(part);
  });
}

void layernorm(const Table& table, ThreadPool& pool, const float* x, std::size_t ldx, std::size_t rows, std::size_t n,
               const float* gamma, const float* beta, float eps, float* y, std::size_t ldy) {
  spread_rows(pool, rows, rows * n, [&](std::size_t begin, std::size_t end) {
    table.layernorm(x + begin * ldx, ldx, end - begin, n, gamma, beta, eps, y + begin * ldy, ldy);
  });
}

void layernorm_quantize(const Table& table, ThreadPool& pool, const float* x, std::size_t ldx, std::size_t rows,
                        std::size_t n, const float* gamma, const float* beta, float eps, float* y, std::size_t ldy,
                        std::uint8_t* q, std::size_t ldq, float* scale, std::int32_t* zero) {
  spread_rows(pool, rows, rows * n, [&](std::size_t begin, std::size_t end) {
    table.layernorm_quantize(x + begin * ldx, ldx, end - begin, n, gamma, beta, eps, y + begin * ldy, ldy,
                             q + begin * ldq, ldq, scale + begin, zero + begin);
  });
}

}  // namespace fathom::kernels
