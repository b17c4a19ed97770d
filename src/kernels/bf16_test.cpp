// The bf16 GEMM of every tier that this CPU can run: against double precision of the rounded numbers, bit by bit
// against the reference where no bf16 instruction is used, and what table.h promises of it.
#include <algorithm>
#include <bit>
#include <limits>

#include "kernels/bf16.h"
#include "kernels/test_gemm.h"

namespace fathom::kernels {
namespace {

using namespace testing;

class GemmBf16 : public TierTest {
 protected:
  bool native() const { return GetParam() == Tier::avx512_bf16 || tiled(); }
  bool tiled() const { return GetParam() == Tier::avx512_amx; }  // its activations, too, are rounded by an instruction
};

float rounded(float x) { return from_bf16(to_bf16(x)); }

struct Problem : FloatCase {
  Buffer<std::byte> packed;
  Problem(const Table& table_, std::size_t m_, std::size_t n_, std::size_t k_, float scale = 1.0f)
      : FloatCase(table_, m_, n_, k_, scale), packed(table_.packed_size_bf16(n, k)) {
    table->pack_weights_bf16(w.data(), n, k, packed.data());
  }
  auto kernel() const { return table->gemm_bf16; }
  GemmArgs args(std::vector<float>& c, Activation activation, bool extras) const {
    return float_args(c, activation, extras, packed.data());
  }
};

TEST(Bf16, RoundsToNearestEven) {
  for (std::uint32_t high = 0; high < 0x7F80; ++high) {  // every finite bf16, both neighbours of both ends, and the tie
    const std::uint32_t bits = high << 16;
    const auto of = [](std::uint32_t b) { return to_bf16(std::bit_cast<float>(b)); };
    ASSERT_EQ(of(bits), high);
    ASSERT_EQ(of(bits | 0x7FFF), high);
    ASSERT_EQ(of(bits | 0x8000), high + (high & 1)) << "a tie goes to the even one";
    ASSERT_EQ(of(bits | 0x8001), high + 1);
    ASSERT_EQ(of(0x80000000u | bits | 0x8001), 0x8000 + high + 1);
    ASSERT_EQ(from_bf16(static_cast<std::uint16_t>(high)), std::bit_cast<float>(bits));
  }
  EXPECT_TRUE(std::isnan(from_bf16(to_bf16(std::bit_cast<float>(0x7F800001u)))));
  EXPECT_TRUE(std::isnan(from_bf16(to_bf16(std::bit_cast<float>(0xFFFFFFFFu)))));
  EXPECT_EQ(rounded(std::numeric_limits<float>::max()), std::numeric_limits<float>::infinity());
}

// k = 1 and weight 1: c is the activation as the kernel rounded it. In rows of one call and alone, which are other
// code.
TEST_P(GemmBf16, RoundsActivationsAsWeights) {
  std::vector<float> x;
  for (std::uint32_t high = 1; high < 0x7F7F; high += 7)
    for (const std::uint32_t low : {0u, 0x7FFFu, 0x8000u, 0x8001u, 0xFFFFu})
      x.push_back(std::bit_cast<float>((high % 2 ? 0x80000000u : 0u) | high << 16 | low));
  const float one = 1.0f;
  Buffer<std::byte> packed(t().packed_size_bf16(1, 1));
  t().pack_weights_bf16(&one, 1, 1, packed.data());
  std::vector<float> y(x.size());
  GemmArgs g;
  Buffer<float> scratch(t().gemm_scratch);
  g.scratch = scratch.data();
  g.lda = g.ldc = g.n = g.n_end = g.k = 1;
  g.packed = packed.data();
  for (const std::size_t rows : {x.size(), std::size_t{1}}) {
    for (std::size_t i = 0; i < x.size(); i += rows) {
      g.a = &x[i];
      g.c = &y[i];
      g.m = rows;
      t().gemm_bf16(g);
    }
    for (std::size_t i = 0; i < x.size(); ++i) {
      const float expected = rounded(x[i]);
      ASSERT_EQ(y[i], native() && !std::isnormal(tiled() ? x[i] : expected) ? 0.0f : expected) << x[i];
    }
  }
}

const struct {
  std::size_t m, n, k;
} kShapes[] = {{1, 1, 1},     {1, 33, 3},     {2, 5, 5},     {3, 70, 2},    {1, 131, 33},   {1, 300, 300},
               {2, 63, 64},   {3, 97, 255},   {4, 17, 511},  {5, 33, 512},  {6, 31, 513},   {7, 2, 97},
               {11, 64, 130}, {12, 37, 31},   {13, 32, 61},  {18, 41, 40},  {33, 69, 127},  {84, 7, 3},
               {85, 32, 11},  {97, 41, 300},  {25, 96, 769}, {9, 40, 1601}, {89, 70, 1701}, {451, 33, 5},
               {33, 7, 8200}, {2, 1, 262200}, {2, 20, 8191}, {1, 40, 8193}, {3, 33, 9001}};

TEST_P(GemmBf16, MatchesDoubleOnRaggedShapes) {
  for (const auto& s : kShapes)
    for (const Activation activation : {Activation::none, Activation::relu, Activation::gelu})
      for (const bool extras : {false, true}) {
        if (s.m * s.n * s.k > 2'000'000 && extras == (activation == Activation::none))
          continue;  // they take long in double
        const Problem p(t(), s.m, s.n, s.k);
        std::vector<float> c = p.output();
        t().gemm_bf16(p.args(c, activation, extras));
        expect_float_gemm(p, c, activation, extras, rounded);
        if (HasFatalFailure()) return;
      }
}

TEST_P(GemmBf16, HasTheBitsOfTheReference) {
  if (native()) GTEST_SKIP() << "its instruction adds in another order";
  for (const auto& s : kShapes) {
    const Problem p(t(), s.m, s.n, s.k), q(table(Tier::ref), s.m, s.n, s.k);
    std::vector<float> c = p.output(), expected = p.output();
    t().gemm_bf16(p.args(c, Activation::relu, true));
    table(Tier::ref).gemm_bf16(q.args(expected, Activation::relu, true));
    ASSERT_EQ(0, std::memcmp(c.data(), expected.data(), c.size() * 4)) << s.m << "x" << s.n << "x" << s.k;
  }
}

TEST_P(GemmBf16, ResidualMayBeTheOutput) {
  for (const std::size_t k : {50, 1701})
    expect_residual_in_place(Problem(t(), 89, 3 * t().panel + 4, k));  // rows of several tiles, k of several pieces
}

TEST_P(GemmBf16, WritesOnlyItsColumns) {
  for (const std::size_t m : {1, 2, 3, 20}) expect_only_its_columns(Problem(t(), m, 5 * t().panel + 3, 21));
  expect_only_its_columns(Problem(t(), 89, 5 * t().panel + 3, 1701));
}

TEST_P(GemmBf16, RowsAreBitEqualAloneAndInAnyBatch) {
  for (const std::size_t k : {37, 300, 1701, 8200})
    expect_rows_alone(Problem(t(), 89, (k > 2000 ? 1 : 4) * t().panel + 5, k));
}

TEST_P(GemmBf16, IsBitEqualForAnyThreadSplit) {
  for (const std::size_t m : {1, 5, 33, 400})  // enough work to be cut
    expect_same_for_threads(Problem(t(), m, 300, m == 1 ? 900 : 170),
                            [](const Table& table, ThreadPool& pool, const GemmArgs& g) { gemm_bf16(table, pool, g); });
}

TEST_P(GemmBf16, KeepsNanAndInfinityInTheirRows) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  for (const std::size_t m : {2, 3, 6})
    for (const std::size_t k : {18, 19}) {
      Problem p(t(), m, t().panel + 3, k);
      p.a[1 + 0 * p.lda() + k - 1] = infinity;
      p.a[1 + 1 * p.lda() + k - 1] = std::bit_cast<float>(0x7F800001u);  // its payload would not survive rounding
      std::vector<float> c = p.output();
      t().gemm_bf16(p.args(c, Activation::relu, true));
      for (std::size_t i = 0; i < m; ++i)
        for (std::size_t j = 0; j < p.n; ++j) {
          const float y = c[1 + i * p.ldc() + j];
          if (i == 0) {
            ASSERT_TRUE(p.w[j * k + k - 1] > 0 ? y == infinity : y == p.residual[1 + j]) << y;
          } else
            ASSERT_EQ(std::isnan(y), i == 1) << i << "," << j;
        }
    }
  Problem p(t(), 5, t().panel + 3, 19);
  p.w[2 * 19 + 18] = nan;
  t().pack_weights_bf16(p.w.data(), p.n, p.k, p.packed.data());
  std::vector<float> c = p.output();
  t().gemm_bf16(p.args(c, Activation::gelu, true));
  for (std::size_t i = 0; i < p.m; ++i)
    for (std::size_t j = 0; j < p.n; ++j) ASSERT_EQ(std::isnan(c[1 + i * p.ldc() + j]), j == 2);
}

INSTANTIATE_TEST_SUITE_P(Tiers, GemmBf16, ::testing::ValuesIn(kAllTiers), tier_of);

}  // namespace
}  // namespace fathom::kernels
