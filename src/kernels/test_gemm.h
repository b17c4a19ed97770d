// One GEMM of any precision under test: operands on odd addresses, guarded output, and the promises that hold for every
// precision alike. A Problem adds its operands, args() and kernel() to GemmCase.
#pragma once

#include <cstring>
#include <vector>

#include "kernels/parallel.h"
#include "kernels/test_tiers.h"

namespace fathom::kernels::testing {

struct GemmCase {
  const Table* table;
  std::size_t m, n, k;
  std::vector<float> bias, residual;

  GemmCase(const Table& table_, std::size_t m_, std::size_t n_, std::size_t k_)
      : table(&table_), m(m_), n(n_), k(k_), bias(noise(n + 1, 3)), residual(noise(1 + m * ldr(), 4)) {}
  std::size_t ldr() const { return n + 5; }
  std::size_t ldc() const { return n + 7; }
  std::vector<float> output() const { return std::vector<float>(1 + m * ldc() + 64, kGuard); }
  void set_output(GemmOutput& g, std::vector<float>& c, Activation activation, bool extras) const {
    g.bias = extras ? bias.data() + 1 : nullptr;
    g.residual = extras ? residual.data() + 1 : nullptr;
    g.ldr = ldr();
    g.c = c.data() + 1;
    g.ldc = ldc();
    g.m = m;
    g.n = g.n_end = n;
    g.k = k;
    g.activation = activation;
    static Buffer<float> scratch(8 * kTiledGemmScratch);  // of up to 8 workers
    g.scratch = scratch.data();
  }
};

// fp32 operands, packed by `pack`; for fp32 and bf16.
struct FloatCase : GemmCase {
  std::vector<float> a, w;
  FloatCase(const Table& table_, std::size_t m_, std::size_t n_, std::size_t k_, float scale)
      : GemmCase(table_, m_, n_, k_), a(noise(1 + m * lda(), 1, scale)), w(noise(n * k, 2)) {}
  std::size_t lda() const { return k + 3; }
  GemmArgs float_args(std::vector<float>& c, Activation activation, bool extras, const void* packed) const {
    GemmArgs g;
    set_output(g, c, activation, extras);
    g.a = a.data() + 1;
    g.lda = lda();
    g.packed = packed;
    return g;
  }
  static void skip(GemmArgs& g, std::size_t rows) { g.a += rows * g.lda; }
};

inline void expect_guards(const GemmCase& p, const std::vector<float>& c) {
  ASSERT_EQ(c[0], kGuard);
  for (std::size_t i = 0; i < p.m; ++i)
    for (std::size_t j = p.n; j < p.ldc(); ++j)
      ASSERT_EQ(c[1 + i * p.ldc() + j], kGuard) << "row " << i << " was overrun";
  for (std::size_t j = 1 + p.m * p.ldc(); j < c.size(); ++j) ASSERT_EQ(c[j], kGuard);
}

// Adds activation and residual of element (i, j), within what rounding may do, to a value before the activation.
inline void expect_element(const GemmCase& p, const std::vector<float>& c, std::size_t i, std::size_t j, double y,
                           double tolerance, Activation activation, bool extras) {
  if (activation == Activation::relu) y = std::max(0.0, y);
  if (activation == Activation::gelu) {
    tolerance = tolerance * 1.13 + 2e-7 * std::max(1.0, std::abs(y));  // the greatest slope, and the kernel's own error
    y = gelu(y);
  }
  if (extras) {
    y += p.residual[1 + i * p.ldr() + j];
    tolerance += kEps * std::abs(y);
  }
  ASSERT_NEAR(c[1 + i * p.ldc() + j], y, tolerance) << p.m << "x" << p.n << "x" << p.k << " at " << i << "," << j;
}

// All of c in double precision over the operands as `number` reads them: as they are, or rounded as the kernel rounds
// them.
template <class Number>
void expect_float_gemm(const FloatCase& p, const std::vector<float>& c, Activation activation, bool extras,
                       const Number& number) {
  for (std::size_t i = 0; i < p.m; ++i)
    for (std::size_t j = 0; j < p.n; ++j) {
      double y = extras ? p.bias[1 + j] : 0.0, size = std::abs(y);
      for (std::size_t l = 0; l < p.k; ++l) {
        const double term = static_cast<double>(number(p.a[1 + i * p.lda() + l])) * number(p.w[j * p.k + l]);
        y += term;
        size += std::abs(term);
      }
      // A chain of k roundings errs by at most k eps/2 of the sum of magnitudes. Products of two bf16 are exact in
      // fp32, so k (of a pair: two) roundings do there as well.
      expect_element(p, c, i, j, y, kEps * (static_cast<double>(p.k) / 2 + 2) * size, activation, extras);
      if (::testing::Test::HasFatalFailure()) return;
    }
  expect_guards(p, c);
}

// Row i of any call equals that row computed alone, bit for bit: the promise that batching rests on.
template <class Problem>
void expect_rows_alone(const Problem& p) {
  std::vector<float> all = p.output();
  p.kernel()(p.args(all, Activation::gelu, true));
  for (const std::size_t m : {1, 2, 3, 4, 6, 9, 12, 13, 25, 88})
    for (const std::size_t from : {std::size_t{0}, std::size_t{1}, p.m - m}) {
      std::vector<float> c = p.output();
      auto g = p.args(c, Activation::gelu, true);
      g.m = m;
      p.skip(g, from);
      g.c += from * g.ldc;
      g.residual += from * g.ldr;
      p.kernel()(g);
      for (std::size_t i = from; i < from + m; ++i)
        ASSERT_EQ(0, std::memcmp(&c[1 + i * p.ldc()], &all[1 + i * p.ldc()], p.n * 4))
            << "k " << p.k << " m " << m << " row " << i;
    }
}

template <class Problem>
void expect_only_its_columns(const Problem& p) {
  const std::size_t panel = p.table->panel;
  std::vector<float> c = p.output(), whole = p.output();
  p.kernel()(p.args(whole, Activation::gelu, true));
  auto g = p.args(c, Activation::gelu, true);
  g.n_begin = panel;
  g.n_end = 3 * panel;
  p.kernel()(g);
  for (std::size_t i = 0; i < p.m; ++i)
    for (std::size_t j = 0; j < p.n; ++j)
      ASSERT_EQ(c[1 + i * p.ldc() + j], j >= panel && j < 3 * panel ? whole[1 + i * p.ldc() + j] : kGuard);
}

// c may hold the residual.
template <class Problem>
void expect_residual_in_place(const Problem& p) {
  std::vector<float> c = p.output(), expected = p.output();
  for (std::size_t i = 0; i < p.m; ++i)
    for (std::size_t j = 0; j < p.n; ++j) c[1 + i * p.ldc() + j] = p.residual[1 + i * p.ldr() + j];
  p.kernel()(p.args(expected, Activation::none, true));
  auto g = p.args(c, Activation::none, true);
  g.residual = g.c;
  g.ldr = g.ldc;
  p.kernel()(g);
  EXPECT_EQ(c, expected) << p.m << "x" << p.n << "x" << p.k;
}

// `spread` is the function of parallel.h.
template <class Problem, class Spread>
void expect_same_for_threads(const Problem& p, const Spread& spread) {
  std::vector<float> alone = p.output();
  p.kernel()(p.args(alone, Activation::gelu, true));
  for (const int threads : {1, 2, 3, 5}) {
    ThreadPool pool(threads);
    std::vector<float> c = p.output();
    spread(*p.table, pool, p.args(c, Activation::gelu, true));
    EXPECT_EQ(c, alone) << threads << " threads, m " << p.m;
  }
}

// The attention that follows a GEMM in `spread` has the bits of the two one after the other, also where its output
// overwrites what the GEMM read
// (`into` is then the operand, else null). p is a map to q, k and v of `heads` heads.
template <class Problem, class Spread>
void expect_mixes_what_it_makes(const Problem& p, std::size_t heads, std::vector<float>* into, const Spread& spread) {
  const std::size_t hidden = p.n / 3, dim = hidden / heads, half = p.m / 2;
  const std::int32_t offsets[] = {0, static_cast<std::int32_t>(half), static_cast<std::int32_t>(p.m)};
  std::vector<float> qkv(p.m * p.n), expected(p.m * hidden + 1, kGuard), c = qkv, out = expected;
  const auto gemm_args = [&](std::vector<float>& to) {
    auto g = p.args(to, Activation::none, false);
    g.c = to.data();
    g.ldc = p.n;
    return g;
  };
  const std::size_t stride = attention_scratch_stride(*p.table, p.m, dim, false);
  std::vector<float> scratch(8 * stride);
  AttentionArgs mixing;
  mixing.offsets = offsets;
  mixing.heads = static_cast<int>(heads);
  mixing.dim = static_cast<int>(dim);
  mixing.scale = 0.3f;
  mixing.pair_end = 2 * heads;
  mixing.scratch = scratch.data();
  mixing.qkv = qkv.data();
  mixing.out = expected.data();
  p.kernel()(gemm_args(qkv));
  p.table->attention(mixing);
  ASSERT_EQ(expected.back(), kGuard);
  expected.pop_back();
  mixing.qkv = c.data();
  for (const int threads : {1, 2, 3, 4}) {
    std::fill(c.begin(), c.end(), kGuard);
    std::fill(out.begin(), out.end(), kGuard);
    const std::vector<float> kept = into ? *into : out;
    mixing.out = into ? into->data() + 1 : out.data();
    ThreadPool pool(threads);
    const Mixing with_scratch{mixing, stride};
    spread(*p.table, pool, gemm_args(c), with_scratch);
    EXPECT_EQ(c, qkv) << threads << " threads, " << heads << " heads";
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), mixing.out))
        << threads << " threads, " << heads << " heads";
    if (into) *into = kept;
  }
}

}  // namespace fathom::kernels::testing
