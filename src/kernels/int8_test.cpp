// Quantization and the int8 GEMM of every tier that this CPU can run, bit by bit: expected values are computed here in
// the one order of operations that table.h promises, from integers summed exactly.
#include <algorithm>
#include <limits>

#include "kernels/test_gemm.h"

namespace fathom::kernels {
namespace {

using namespace testing;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInfinity = std::numeric_limits<float>::infinity();
constexpr float kLeast = std::numeric_limits<float>::min(), kMost = std::numeric_limits<float>::max();

class Int8 : public TierTest {};

struct QuantizedRow {
  float scale = 0.0f;
  std::int32_t zero = 0;
  std::vector<std::uint8_t> q;
};

// The definition, said once more.
QuantizedRow quantized(const float* x, std::size_t k, int levels) {
  QuantizedRow row;
  const float low = std::min(0.0f, *std::min_element(x, x + k)), high = std::max(0.0f, *std::max_element(x, x + k));
  const float top = static_cast<float>(levels);
  row.scale = std::max(high / top - low / top, kLeast);
  const float inverse = 1.0f / row.scale;
  row.zero = static_cast<std::int32_t>(std::lrint(-low * inverse));
  for (std::size_t i = 0; i < int8_row_bytes(k); ++i) {
    const long q = std::lrint((i < k ? x[i] : 0.0f) * inverse) + row.zero;
    row.q.push_back(static_cast<std::uint8_t>(std::clamp(q, 0L, static_cast<long>(levels))));
  }
  return row;
}

struct Rows {  // quantized by the kernel, guarded
  std::size_t stride;
  std::vector<std::uint8_t> q;
  std::vector<float> scale;
  std::vector<std::int32_t> zero;
  Rows(const Table& t, const std::vector<float>& x, std::size_t rows, std::size_t k)
      : stride(int8_row_bytes(k) + 5), q(1 + rows * stride, 0xEE), scale(rows + 1, kGuard), zero(rows + 1, 777) {
    t.quantize_rows(x.data(), x.size() / rows, rows, k, q.data() + 1, stride, scale.data(), zero.data());
  }
  const std::uint8_t* row(std::size_t r) const { return q.data() + 1 + r * stride; }
};

const std::size_t kSizes[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 97, 384, 769};

TEST_P(Int8, QuantizesByTheDefinition) {
  std::vector<std::size_t> sizes(std::begin(kSizes), std::end(kSizes));
  sizes.insert(sizes.end(), {1025, 1500, 2100, 5000});  // rows of which fewer are worked on together
  for (const std::size_t k : sizes)
    for (const float size : {1.0f, 1e-30f, 1e-39f, 3e38f})
      for (const float shift : {0.0f, -0.9f, 1.5f, -3.0f}) {
        const std::size_t rows = 6, ld = k + 2;
        std::vector<float> x = noise(rows * ld, k, size);
        for (float& v : x) v = std::abs(shift) > 0 && size < 1e38f ? v + shift * size : v;
        const Rows got(t(), x, rows, k);
        for (std::size_t r = 0; r < rows; ++r) {
          const QuantizedRow expected = quantized(&x[r * ld], k, t().levels);
          ASSERT_EQ(got.scale[r], expected.scale);
          ASSERT_EQ(got.zero[r], expected.zero);
          ASSERT_TRUE(std::equal(expected.q.begin(), expected.q.end(), got.row(r))) << "k " << k << " row " << r;
          ASSERT_EQ(got.row(r)[int8_row_bytes(k)], 0xEE) << "row " << r << " was overrun";
          for (std::size_t i = 0; i < k; ++i)
            ASSERT_NEAR(static_cast<double>(got.scale[r]) * (got.row(r)[i] - got.zero[r]), x[r * ld + i],
                        got.scale[r] * 0.5001);
        }
        ASSERT_EQ(got.q[0], 0xEE);
        ASSERT_EQ(got.scale[rows], kGuard);
        ASSERT_EQ(got.zero[rows], 777);
      }
}

TEST_P(Int8, QuantizesConstantAndSparseRowsExactly) {
  for (const std::size_t k : {1, 5, 16, 40})
    for (const float value : {0.0f, -0.0f, 3.7f, -0.013f, kMost, -kMost}) {
      std::vector<float> x(k, value);
      const Rows constant(t(), x, 1, k);
      for (std::size_t i = 0; i < k; ++i) {  // an end of the range: right but for one rounding
        const double back = static_cast<double>(constant.scale[0]) * (constant.row(0)[i] - constant.zero[0]);
        ASSERT_NEAR(back, value, std::abs(static_cast<double>(value)) * kEps);
      }
      if (k == 1) continue;
      x[k - 1] = 0.0f;
      const Rows sparse(t(), x, 1, k);
      ASSERT_EQ(sparse.row(0)[k - 1], sparse.zero[0]) << "0 must be exact";
    }
}

TEST_P(Int8, ARowThatIsNotFiniteSaysSo) {
  for (const float strange : {kNan, kInfinity, -kInfinity})
    for (const std::size_t k : {1, 16, 37, 150})
      for (const std::size_t at : {std::size_t{0}, k / 2, k - 1}) {
        std::vector<float> x = noise(3 * k, 7);
        x[k + at] = strange;
        const Rows got(t(), x, 3, k);
        for (std::size_t r = 0; r < 3; ++r) ASSERT_EQ(std::isnan(got.scale[r]), r == 1) << strange << " at " << at;
        for (std::size_t i = 0; i < k; ++i) ASSERT_LE(got.row(1)[i], t().levels);
      }
}

TEST_P(Int8, QuantizationIsBitEqualForAnyThreadSplit) {
  const std::size_t rows = 101, k = 770, stride = int8_row_bytes(k);
  const std::vector<float> x = noise(rows * k, 3);
  const Rows alone(t(), x, rows, k);
  for (const int threads : {2, 3, 5}) {
    ThreadPool pool(threads);
    std::vector<std::uint8_t> q(rows * stride);
    std::vector<float> scale(rows);
    std::vector<std::int32_t> zero(rows);
    quantize_rows(t(), pool, x.data(), k, rows, k, q.data(), stride, scale.data(), zero.data());
    for (std::size_t r = 0; r < rows; ++r) {
      ASSERT_TRUE(std::equal(&q[r * stride], &q[r * stride] + stride, alone.row(r)));
      ASSERT_EQ(scale[r], alone.scale[r]);
      ASSERT_EQ(zero[r], alone.zero[r]);
    }
  }
}

TEST_P(Int8, LayernormQuantizeHasTheBitsOfItsTwoSteps) {
  for (const std::size_t n : kSizes)
    for (const std::size_t rows : {1, 4, 7, 150}) {
      const std::size_t ld = n + 3, stride = int8_row_bytes(n) + 1;
      std::vector<float> x = noise(rows * ld, n), y(rows * ld, kGuard);
      const std::vector<float> gamma = noise(n, 5), beta = noise(n, 6);
      if (rows == 7) x[3 * ld + n - 1] = kNan;
      t().layernorm(x.data(), ld, rows, n, gamma.data(), beta.data(), 1e-5f, y.data(), ld);
      const Rows expected(t(), y, rows, n);
      ThreadPool pool(3);
      std::vector<std::uint8_t> q(rows * stride, 0xEE);
      std::vector<float> scale(rows);
      std::vector<std::int32_t> zero(rows);
      for (std::size_t r = 0; r < rows; ++r) std::fill_n(&x[r * ld + n], 3, kGuard);  // as y has there
      layernorm_quantize(t(), pool, x.data(), ld, rows, n, gamma.data(), beta.data(), 1e-5f, x.data(), ld, q.data(),
                         stride, scale.data(), zero.data());  // in place
      ASSERT_EQ(0, std::memcmp(x.data(), y.data(), x.size() * 4)) << n << " " << rows;
      ASSERT_EQ(0, std::memcmp(scale.data(), expected.scale.data(), rows * 4)) << n << " " << rows;
      for (std::size_t r = 0; r < rows; ++r) {
        ASSERT_EQ(zero[r], expected.zero[r]);
        ASSERT_EQ(std::isnan(scale[r]), rows == 7 && r == 3);
        ASSERT_TRUE(std::equal(&q[r * stride], &q[r * stride + int8_row_bytes(n)], expected.row(r)))
            << n << " row " << r;
        ASSERT_EQ(q[r * stride + int8_row_bytes(n)], 0xEE);
      }
    }
}

// ---- GEMM

struct Problem : GemmCase {
  std::vector<std::uint8_t> a;
  std::vector<float> row_scale, w;
  std::vector<std::int32_t> row_zero;
  Buffer<std::byte> packed;

  Problem(const Table& table_, std::size_t m_, std::size_t n_, std::size_t k_)
      : GemmCase(table_, m_, n_, k_),
        a(1 + m * lda()),
        row_scale(noise(m, 8)),
        w(noise(n * k, 2)),
        row_zero(m),
        packed(table_.packed_size_int8(n, k)) {
    Noise next(9);
    const auto level = [&] { return static_cast<int>((next() + 1) / 2 * static_cast<float>(table->levels + 1)); };
    for (std::uint8_t& q : a) q = static_cast<std::uint8_t>(level());
    for (std::int32_t& zero : row_zero) zero = level();
    pack();
  }
  void pack() { table->pack_weights_int8(w.data(), n, k, packed.data()); }
  std::size_t lda() const { return int8_row_bytes(k) + 3; }
  auto kernel() const { return table->gemm_int8; }
  Int8GemmArgs args(std::vector<float>& c, Activation activation, bool extras) const {
    Int8GemmArgs g;
    set_output(g, c, activation, extras);
    g.a = a.data() + 1;
    g.lda = lda();
    g.row_scale = row_scale.data();
    g.row_zero = row_zero.data();
    g.packed = packed.data();
    return g;
  }
  static void skip(Int8GemmArgs& g, std::size_t rows) {
    g.a += rows * g.lda;
    g.row_scale += rows;
    g.row_zero += rows;
  }
};

// The value before the activation, exactly as promised.
float expected_value(const Problem& p, std::size_t i, std::size_t j, const std::vector<std::int8_t>& weights,
                     float column_scale, bool extras) {
  std::int64_t sum = 0;
  for (std::size_t l = 0; l < p.k; ++l) sum += (p.a[1 + i * p.lda() + l] - p.row_zero[i]) * weights[l];
  return std::fma(static_cast<float>(sum), p.row_scale[i] * column_scale, extras ? p.bias[1 + j] : 0.0f);
}

void expect_gemm(const Problem& p, const std::vector<float>& c, Activation activation, bool extras) {
  for (std::size_t j = 0; j < p.n; ++j) {
    const float* w = &p.w[j * p.k];
    float top = 0.0f;
    for (std::size_t l = 0; l < p.k; ++l) top = std::max(top, std::abs(w[l]));
    const float scale = top / 127.0f;
    std::vector<std::int8_t> weights;
    for (std::size_t l = 0; l < p.k; ++l)
      weights.push_back(static_cast<std::int8_t>(top > 0 ? std::lrint(w[l] * (1.0f / scale)) : 0));
    for (std::size_t i = 0; i < p.m; ++i) {
      float y = expected_value(p, i, j, weights, scale, extras);
      if (activation == Activation::gelu) {
        expect_element(p, c, i, j, y, 0.0, activation, extras);
        if (::testing::Test::HasFatalFailure()) return;
        continue;
      }
      if (activation == Activation::relu) y = std::max(0.0f, y);
      if (extras) y += p.residual[1 + i * p.ldr() + j];
      ASSERT_EQ(c[1 + i * p.ldc() + j], y) << p.m << "x" << p.n << "x" << p.k << " at " << i << "," << j;
    }
  }
  expect_guards(p, c);
}

TEST_P(Int8, GemmHasTheBitsOfTheDefinitionOnRaggedShapes) {
  const struct {
    std::size_t m, n, k;
  } shapes[] = {{1, 1, 1},     {1, 33, 3},    {2, 5, 5},     {3, 70, 2},    {1, 131, 33},   {1, 300, 300},
                {2, 63, 64},   {3, 97, 255},  {4, 17, 1021}, {5, 33, 1024}, {6, 31, 1027},  {7, 2, 97},
                {11, 64, 130}, {12, 37, 31},  {13, 32, 61},  {18, 41, 40},  {33, 69, 127},  {84, 7, 3},
                {85, 32, 11},  {97, 41, 300}, {25, 96, 769}, {9, 40, 3073}, {20, 70, 6149}, {89, 70, 1701},
                {85, 70, 128}, {97, 70, 832}, {451, 33, 64}, {451, 33, 7},  {1, 40, 8193},  {3, 33, 9001}};
  for (const auto& s : shapes)
    for (const Activation activation : {Activation::none, Activation::relu, Activation::gelu})
      for (const bool extras : {false, true}) {
        const Problem p(t(), s.m, s.n, s.k);
        std::vector<float> c = p.output();
        t().gemm_int8(p.args(c, activation, extras));
        expect_gemm(p, c, activation, extras);
        if (HasFatalFailure()) return;
      }
}

TEST_P(Int8, GemmIsExactAtTheEndsOfTheRange) {
  for (const std::size_t k : {std::size_t{3}, std::size_t{4096}, kInt8MaxK})
    for (const std::size_t m : {1, 3, 5})
      for (const int zero : {0, t().levels}) {
        Problem p(t(), m, 3, k);
        std::fill(p.a.begin(), p.a.end(), static_cast<std::uint8_t>(t().levels - zero));
        std::fill(p.row_zero.begin(), p.row_zero.end(), zero);
        std::fill(p.row_scale.begin(), p.row_scale.end(), 1.0f);
        for (std::size_t l = 0; l < k; ++l) {
          p.w[l] = 127.0f;
          p.w[k + l] = -127.0f;
          p.w[2 * k + l] = l % 2 ? 127.0f : -127.0f;
        }
        p.pack();
        std::vector<float> c = p.output();
        t().gemm_int8(p.args(c, Activation::none, false));
        const double all = 127.0 * static_cast<double>(k) * t().levels * (zero ? -1 : 1);
        const double odd = k % 2 ? -127.0 * t().levels * (zero ? -1 : 1) : 0.0;
        for (std::size_t i = 0; i < m; ++i) {
          ASSERT_EQ(c[1 + i * p.ldc()], static_cast<float>(all)) << "k " << k << " zero " << zero;
          ASSERT_EQ(c[1 + i * p.ldc() + 1], static_cast<float>(-all));
          ASSERT_EQ(c[1 + i * p.ldc() + 2], static_cast<float>(odd));
        }
      }
}

TEST_P(Int8, GemmHasTheBitsOfTheReferenceForQuantizedRows) {
  const std::size_t m = 19, n = 75, k = 333;
  const std::vector<float> x = noise(m * k, 5, 2.0f);
  const Rows rows(t(), x, m, k);
  Problem p(t(), m, n, k), q(table(Tier::ref), m, n, k);
  std::vector<float> c = p.output(), expected = p.output();
  for (const auto& [problem, out] : {std::pair{&p, &c}, std::pair{&q, &expected}}) {
    Int8GemmArgs g = problem->args(*out, Activation::relu, true);
    g.a = rows.row(0);
    g.lda = rows.stride;
    g.row_scale = rows.scale.data();
    g.row_zero = rows.zero.data();
    problem->table->gemm_int8(g);
  }
  ASSERT_EQ(c, expected);
  for (std::size_t i = 0; i < m; ++i)  // and both are near the product of what was quantized
    for (std::size_t j = 0; j < n; ++j) {
      double y = p.bias[1 + j], weights = 0.0, inputs = 0.0, top = 0.0;
      for (std::size_t l = 0; l < k; ++l) {
        const double w = p.w[j * k + l], a = x[i * k + l];
        y += w * a;
        weights += std::abs(w);
        inputs += std::abs(a);
        top = std::max(top, std::abs(w));
      }
      const double step = rows.scale[i] / 2, weight_step = top / 254;  // each factor errs by half a step at most
      const double tolerance =
          1.001 * (weights * step + inputs * weight_step + static_cast<double>(k) * step * weight_step);
      ASSERT_NEAR(c[1 + i * p.ldc() + j] - p.residual[1 + i * p.ldr() + j], std::max(0.0, y), tolerance);
    }
}

TEST_P(Int8, ResidualMayBeTheOutput) {
  for (const std::size_t k : {50, 1701})
    expect_residual_in_place(Problem(t(), 89, 3 * t().panel + 4, k));  // rows of several tiles, k of several pieces
}

TEST_P(Int8, GemmWritesOnlyItsColumns) {
  for (const std::size_t m : {1, 2, 3, 20}) expect_only_its_columns(Problem(t(), m, 5 * t().panel + 3, 21));
  expect_only_its_columns(Problem(t(), 89, 5 * t().panel + 3, 1701));
}

TEST_P(Int8, GemmRowsAreBitEqualAloneAndInAnyBatch) {
  for (const std::size_t k : {37, 300, 1701, 3100})
    expect_rows_alone(Problem(t(), 89, (k > 2000 ? 1 : 4) * t().panel + 5, k));
}

TEST_P(Int8, GemmIsBitEqualForAnyThreadSplit) {
  for (const std::size_t m : {1, 5, 33, 400})  // enough work to be cut
    expect_same_for_threads(
        Problem(t(), m, 600, m == 1 ? 900 : 370),
        [](const Table& table, ThreadPool& pool, const Int8GemmArgs& g) { gemm_int8(table, pool, g); });
}

TEST_P(Int8, AttentionMayFollowAGemm) {
  for (const auto& [heads, hidden] : {std::pair<std::size_t, std::size_t>{4, 128}, {3, 96}, {1, 96}})
    expect_mixes_what_it_makes(Problem(t(), 33, 3 * hidden, 370), heads, nullptr,
                               [](const Table& table, ThreadPool& pool, const Int8GemmArgs& g, const Mixing& mixing) {
                                 gemm_int8(table, pool, g, &mixing);
                               });
}

TEST_P(Int8, GemmKeepsNanInItsRowAndColumn) {
  for (const Activation activation : {Activation::none, Activation::relu, Activation::gelu})
    for (const std::size_t m : {3, 6}) {
      Problem p(t(), m, t().panel + 3, 19);
      p.row_scale[1] = kNan;
      p.w[4 * 19 + 7] = kInfinity;
      std::fill_n(&p.w[5 * 19], 19, 0.0f);
      p.pack();
      std::vector<float> c = p.output();
      t().gemm_int8(p.args(c, activation, true));
      for (std::size_t i = 0; i < m; ++i)
        for (std::size_t j = 0; j < p.n; ++j)
          ASSERT_EQ(std::isnan(c[1 + i * p.ldc() + j]), i == 1 || j == 4) << i << "," << j;
    }
}

INSTANTIATE_TEST_SUITE_P(Tiers, Int8, ::testing::ValuesIn(kAllTiers), tier_of);

}  // namespace
}  // namespace fathom::kernels
