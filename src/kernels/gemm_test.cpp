// The fp32 GEMM of every tier that this CPU can run against double precision, and what table.h promises of it.
#include <algorithm>
#include <limits>

#include "kernels/test_gemm.h"

namespace fathom::kernels {
namespace {

using namespace testing;

class GemmFp32 : public TierTest {};

struct Problem : FloatCase {
  Buffer<float> packed;
  Problem(const Table& table_, std::size_t m_, std::size_t n_, std::size_t k_, float scale = 1.0f)
      : FloatCase(table_, m_, n_, k_, scale), packed(table_.packed_size(n, k)) {
    table->pack_weights(w.data(), n, k, packed.data());
  }
  auto kernel() const { return table->gemm; }
  GemmArgs args(std::vector<float>& c, Activation activation, bool extras) const {
    return float_args(c, activation, extras, packed.data());
  }
};

TEST_P(GemmFp32, MatchesDoubleOnRaggedShapes) {
  const std::size_t panel = t().panel;
  const struct {
    std::size_t m, n, k;
  } shapes[] = {{1, 1, 1},
                {1, panel, 7},
                {1, 4 * panel + 3, 33},
                {1, 6 * panel, 300},
                {1, 3 * panel - 2, 64},
                {2, 2 * panel - 1, 64},
                {3, 3 * panel + 1, 5},
                {4, 17, 255},
                {5, panel + 1, 256},
                {6, panel - 1, 257},
                {7, 2, 97},
                {11, 2 * panel, 130},
                {12, 37, 31},
                {13, panel, 61},
                {14, 5, 8},
                {18, 41, 40},
                {33, 2 * panel + 5, 127},
                {83, 3, 19},
                {84, 7, 3},
                {85, panel, 11},
                {97, panel + 9, 300},
                {2, panel, 769},
                {5, panel + 2, 1537},
                {25, 3 * panel, 1601}};
  for (const auto& s : shapes)
    for (const Activation activation : {Activation::none, Activation::relu, Activation::gelu})
      for (const bool extras : {false, true}) {
        const Problem p(t(), s.m, s.n, s.k);
        std::vector<float> c = p.output();
        t().gemm(p.args(c, activation, extras));
        expect_float_gemm(p, c, activation, extras, [](float x) { return x; });
        if (HasFatalFailure()) return;
      }
}

TEST_P(GemmFp32, ResidualMayBeTheOutput) {
  for (const std::size_t k : {50, 1700}) expect_residual_in_place(Problem(t(), 26, 3 * t().panel + 4, k));
}

TEST_P(GemmFp32, WritesOnlyItsColumns) {
  for (const std::size_t m : {1, 2, 3, 20}) expect_only_its_columns(Problem(t(), m, 5 * t().panel + 3, 21));
}

TEST_P(GemmFp32, RowsAreBitEqualAloneAndInAnyBatch) {
  for (const std::size_t k : {37, 300, 1700}) expect_rows_alone(Problem(t(), 89, 4 * t().panel + 5, k));
}

TEST_P(GemmFp32, IsBitEqualForAnyThreadSplit) {
  for (const std::size_t m : {1, 5, 33, 400})  // enough work to be cut
    expect_same_for_threads(Problem(t(), m, 300, m == 1 ? 900 : 170),
                            [](const Table& table, ThreadPool& pool, const GemmArgs& g) { gemm(table, pool, g); });
}

TEST_P(GemmFp32, AttentionMayFollow) {
  for (const auto& [heads, hidden] : {std::pair<std::size_t, std::size_t>{4, 128},
                                      {3, 96},
                                      {4, 96},
                                      {1, 96}}) {  // heads in whole panels for some numbers of threads, and none
    Problem p(t(), 33, 3 * hidden, 170);
    const auto spread = [](const Table& table, ThreadPool& pool, const GemmArgs& g, const Mixing& mixing) {
      gemm(table, pool, g, &mixing);
    };
    expect_mixes_what_it_makes(p, heads, nullptr, spread);
    expect_mixes_what_it_makes(p, heads, &p.a, spread);
  }
}

TEST_P(GemmFp32, KeepsExtremeValues) {
  const float huge = 1e37f, tiny = 1e-37f, denormal = 1e-41f, nan = std::numeric_limits<float>::quiet_NaN();
  for (const float scale : {huge, tiny, denormal}) {
    Problem p(t(), 5, t().panel + 3, 19, scale);
    std::vector<float> c = p.output();
    t().gemm(p.args(c, Activation::none, false));
    for (std::size_t i = 0; i < p.m; ++i)
      for (std::size_t j = 0; j < p.n; ++j) {
        double y = 0.0, size = 0.0;
        for (std::size_t l = 0; l < p.k; ++l) {
          const double term = static_cast<double>(p.a[1 + i * p.lda() + l]) * p.w[j * p.k + l];
          y += term;
          size += std::abs(term);
        }
        ASSERT_NEAR(c[1 + i * p.ldc() + j], y, kEps * 21 * size + 19 * 1.5e-45) << scale;
      }
  }
  for (const Activation activation : {Activation::none, Activation::relu, Activation::gelu}) {
    Problem p(t(), 6, t().panel + 3, 19);
    p.a[1 + 2 * p.lda() + 18] = nan;
    std::vector<float> c = p.output();
    t().gemm(p.args(c, activation, true));
    for (std::size_t i = 0; i < p.m; ++i)
      for (std::size_t j = 0; j < p.n; ++j) ASSERT_EQ(std::isnan(c[1 + i * p.ldc() + j]), i == 2) << i << "," << j;
  }
}

TEST_P(GemmFp32, GeluIsAccurateEverywhere) {
  // One column, weight 1: the activation alone, over a fine grid and far out.
  std::vector<float> x;
  for (float v = -12.0f; v <= 12.0f; v += 0.0007f) x.push_back(v);
  for (const float v : {0.0f, 1e-40f, -1e-30f, 1e-8f, 40.0f, -40.0f, 1e30f, -1e30f, 3e38f}) x.push_back(v);
  const float one = 1.0f;
  Buffer<float> packed(t().packed_size(1, 1));
  t().pack_weights(&one, 1, 1, packed.data());
  std::vector<float> y(x.size());
  GemmArgs g;
  Buffer<float> scratch(t().gemm_scratch);
  g.scratch = scratch.data();
  g.a = x.data();
  g.lda = 1;
  g.packed = packed.data();
  g.c = y.data();
  g.ldc = 1;
  g.m = x.size();
  g.n = g.n_end = g.k = 1;
  g.activation = Activation::gelu;
  t().gemm(g);
  for (std::size_t i = 0; i < x.size(); ++i)
    ASSERT_NEAR(y[i], gelu(x[i]), 2e-7 * std::max(1.0, std::abs(static_cast<double>(x[i])))) << x[i];
}

INSTANTIATE_TEST_SUITE_P(Tiers, GemmFp32, ::testing::ValuesIn(kAllTiers), tier_of);

}  // namespace
}  // namespace fathom::kernels
