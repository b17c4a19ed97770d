// Attention and the row-wise kernels of every table that this CPU can run against double precision: ragged sizes,
// unaligned ends, extreme values, guard zones, and bit-equality of a row wherever and with whomever it is computed.
// Tables it cannot run are reported skipped. GEMM: gemm_test.cpp, bf16_test.cpp, int8_test.cpp.
#include <algorithm>
#include <cstring>
#include <limits>

#include "kernels/test_tiers.h"

namespace fathom::kernels {
namespace {

using namespace testing;

class Kernels : public TierTest {};

// ---- attention

struct Batch {
  std::size_t heads, dim;
  std::vector<std::int32_t> offsets{0};
  std::vector<float> qkv;
  int window = 0;
  bool linear = false;

  Batch(std::size_t heads_, std::size_t dim_, const std::vector<int>& lengths, float scale = 1.0f)
      : heads(heads_), dim(dim_) {
    for (const int length : lengths) offsets.push_back(offsets.back() + length);
    qkv = noise(tokens() * 3 * heads * dim + 1, 11, scale);
  }
  std::size_t tokens() const { return static_cast<std::size_t>(offsets.back()); }
  std::size_t sequences() const { return offsets.size() - 1; }
  int longest() const {
    int most = 0;
    for (std::size_t s = 0; s < sequences(); ++s) most = std::max(most, offsets[s + 1] - offsets[s]);
    return most;
  }
  AttentionArgs args(std::vector<float>& out, std::vector<float>& scratch) const {
    AttentionArgs g;
    g.qkv = qkv.data() + 1;
    g.out = out.data() + 1;
    g.offsets = offsets.data();
    g.heads = static_cast<int>(heads);
    g.dim = static_cast<int>(dim);
    g.window = window;
    g.linear = linear;
    g.scale = 1.0f / std::sqrt(static_cast<float>(dim));
    g.pair_end = sequences() * heads;
    g.scratch = scratch.data();
    return g;
  }
  std::vector<float> run(const Table& table) const {
    std::vector<float> out(tokens() * heads * dim + 2, kGuard);
    std::vector<float> scratch(table.attention_scratch(static_cast<std::size_t>(longest()), dim, linear) + 1, kGuard);
    table.attention(args(out, scratch));
    EXPECT_EQ(scratch.back(), kGuard) << "scratch was overrun";
    EXPECT_EQ(out.front(), kGuard);
    EXPECT_EQ(out.back(), kGuard);
    return out;
  }
};

void expect_attention(const Batch& b, const std::vector<float>& out) {
  const std::size_t hidden = b.heads * b.dim, ld = 3 * hidden;
  const double scale = 1.0f / std::sqrt(static_cast<float>(b.dim));
  for (std::size_t s = 0; s < b.sequences(); ++s)
    for (int i = b.offsets[s]; i < b.offsets[s + 1]; ++i)
      for (std::size_t h = 0; h < b.heads; ++h) {
        const int low = b.window ? std::max(b.offsets[s], i - b.window) : b.offsets[s];
        const int high = b.window ? std::min(b.offsets[s + 1], i + b.window + 1) : b.offsets[s + 1];
        const float* q = &b.qkv[1 + static_cast<std::size_t>(i) * ld + 3 * h * b.dim];
        std::vector<double> p;
        double top = -1e300, total = 0.0, reach = 0.0;
        for (int j = low; j < high; ++j) {
          const float* k = &b.qkv[1 + static_cast<std::size_t>(j) * ld + (3 * h + 1) * b.dim];
          double dot = 0.0, size = 0.0;
          for (std::size_t d = 0; d < b.dim; ++d) {
            dot += static_cast<double>(q[d]) * k[d];
            size += std::abs(static_cast<double>(q[d]) * k[d]);
          }
          p.push_back(dot * scale);
          top = std::max(top, p.back());
          reach = std::max(reach, size * scale);
        }
        for (double& x : p) total += x = std::exp(x - top);
        // A score errs by eps * dim * reach, which is the relative error of its exponential.
        const double relative = kEps * (static_cast<double>(b.dim) * 2 * reach + static_cast<double>(p.size()) + 8);
        for (std::size_t d = 0; d < b.dim; ++d) {
          double y = 0.0, size = 0.0;
          for (int j = low; j < high; ++j) {
            const double v = b.qkv[1 + static_cast<std::size_t>(j) * ld + (3 * h + 2) * b.dim + d];
            y += p[static_cast<std::size_t>(j - low)] / total * v;
            size += p[static_cast<std::size_t>(j - low)] / total * std::abs(v);
          }
          ASSERT_NEAR(out[1 + static_cast<std::size_t>(i) * hidden + h * b.dim + d], y, relative * size + 1e-30)
              << "sequence " << s << " token " << i << " head " << h << " window " << b.window;
        }
      }
}

TEST_P(Kernels, AttentionMatchesDouble) {
  for (const std::size_t dim : {1, 5, 8, 16, 32, 33, 64})
    for (const int window : {0, 1, 3}) {
      Batch b(3, dim, {1, 2, 7, 8, 9, 15, 16, 17, 20, 33, 36, 50, 67});
      b.window = window;
      expect_attention(b, b.run(t()));
      if (HasFatalFailure()) return;
    }
  for (const int window : {0, 70}) {
    Batch b(2, 33, {128, 129, 132, 200, 256});  // around the length from which values are copied
    b.window = window;
    expect_attention(b, b.run(t()));
  }
  Batch peaked(2, 32, {40, 33, 18}, 12.0f);  // scores in the hundreds: most weights underflow
  expect_attention(peaked, peaked.run(t()));
}

TEST_P(Kernels, AttentionIsBitEqualAloneAndInBatch) {
  for (const int window : {0, 1, 3}) {
    Batch b(2, 24, {33, 1, 18, 13, 40, 150});
    b.window = window;
    const std::vector<float> all = b.run(t());
    for (std::size_t s = 0; s < b.sequences(); ++s) {
      Batch alone(2, 24, {b.offsets[s + 1] - b.offsets[s]});
      alone.window = window;
      std::copy_n(b.qkv.begin() + 1 + b.offsets[s] * 144, alone.tokens() * 144, alone.qkv.begin() + 1);
      const std::vector<float> out = alone.run(t());
      ASSERT_EQ(0, std::memcmp(&out[1], &all[1 + static_cast<std::size_t>(b.offsets[s]) * 48], alone.tokens() * 48 * 4))
          << s;
    }
    for (const int threads : {2, 3}) {
      ThreadPool pool(threads);
      const std::size_t stride = attention_scratch_stride(t(), 150, 24, false);
      std::vector<float> out(all.size(), kGuard), scratch(stride * static_cast<std::size_t>(threads));
      attention(t(), pool, {b.args(out, scratch), stride});
      EXPECT_EQ(out, all);
    }
  }
}

TEST_P(Kernels, AttentionSplitsLargeBatchesBitEqually) {
  Batch b(8, 32, {64, 64, 3, 64, 30, 64});
  const std::vector<float> all = b.run(t());
  for (const int threads : {2, 3, 7}) {
    ThreadPool pool(threads);
    const std::size_t stride = attention_scratch_stride(t(), 64, 32, false);
    std::vector<float> out(all.size(), kGuard), scratch(stride * static_cast<std::size_t>(threads));
    attention(t(), pool, {b.args(out, scratch), stride});
    EXPECT_EQ(out, all);
  }
}

TEST_P(Kernels, AttentionKeepsNanInItsSequence) {
  Batch b(2, 16, {9, 12, 5});
  b.qkv[1 + 10 * 96 + 3] = std::numeric_limits<float>::quiet_NaN();  // a query value of token 10, sequence 1, head 0
  const std::vector<float> out = b.run(t());
  for (std::size_t i = 0; i < b.tokens(); ++i)
    for (std::size_t d = 0; d < 32; ++d) ASSERT_EQ(std::isnan(out[1 + i * 32 + d]), i == 10 && d < 16) << i << " " << d;
}

TEST_P(Kernels, AttentionKeepsNanOfTheLastKeys) {  // behind the last whole panel, where rows are longer than one
  for (const std::size_t part : {0, 1, 2})         // q, k, v of token 26, the last of sequence 1, head 0, column 3
    for (const int length : {17, 18, 20, 21}) {
      Batch b(2, 16, {9, length, 5});
      const std::size_t last = 8 + static_cast<std::size_t>(length);
      b.qkv[1 + last * 96 + part * 16 + 3] = std::numeric_limits<float>::quiet_NaN();
      const std::vector<float> out = b.run(t());
      for (std::size_t i = 0; i < b.tokens(); ++i)
        for (std::size_t d = 0; d < 32; ++d) {
          const bool there = i >= 9 && i <= last && d < 16, reached = part == 0 ? i == last : part == 1 || d == 3;
          ASSERT_EQ(std::isnan(out[1 + i * 32 + d]), there && reached) << part << " " << i << " " << d;
        }
    }
}

TEST_P(Kernels, SoftmaxOfTwoKeysIsAnExponential) {  // scores 0 and -x, values 0 and 1: e^-x / (1 + e^-x)
  Batch b(1, 1, std::vector<int>(4000, 2));
  for (std::size_t s = 0; s < b.sequences(); ++s) {
    float* rows = &b.qkv[1 + s * 6];
    rows[0] = rows[3] = 1.0f;
    rows[1] = 0.0f;
    rows[4] = -0.01f * static_cast<float>(s);
    rows[2] = 0.0f;
    rows[5] = 1.0f;
  }
  const std::vector<float> out = b.run(t());
  for (std::size_t s = 0; s < b.sequences(); ++s) {
    const double e = std::exp(static_cast<double>(b.qkv[1 + s * 6 + 4])), exact = e / (1 + e);
    ASSERT_NEAR(out[1 + 2 * s], exact, 4e-7 * exact + 1e-27) << s;
  }
}

// ---- linear attention

double feature(double x) { return x > 0 ? x + 1 : std::exp(std::max(x, -30.0)); }

// The weights written out one by one, as the sum over keys that the state stands for.
void expect_linear(const Batch& b, const std::vector<float>& out) {
  const std::size_t hidden = b.heads * b.dim, ld = 3 * hidden;
  std::vector<double> features(b.qkv.size());
  for (std::size_t i = 0; i < features.size(); ++i) features[i] = feature(b.qkv[i]);
  for (std::size_t s = 0; s < b.sequences(); ++s)
    for (int i = b.offsets[s]; i < b.offsets[s + 1]; ++i)
      for (std::size_t h = 0; h < b.heads; ++h) {
        const auto at = [&](int token) { return 1 + static_cast<std::size_t>(token) * ld + 3 * h * b.dim; };
        std::vector<double> y(b.dim), size(b.dim);
        double total = 0.0;
        for (int j = b.offsets[s]; j < b.offsets[s + 1]; ++j) {
          double weight = 0.0;
          for (std::size_t d = 0; d < b.dim; ++d) weight += features[at(i) + d] * features[at(j) + b.dim + d];
          total += weight;
          for (std::size_t d = 0; d < b.dim; ++d) {
            const double v = b.qkv[at(j) + 2 * b.dim + d];
            y[d] += weight * v;
            size[d] += weight * std::abs(v);
          }
        }
        const double terms = static_cast<double>(b.offsets[s + 1] - b.offsets[s]) + static_cast<double>(b.dim);
        for (std::size_t d = 0; d < b.dim; ++d)
          ASSERT_NEAR(out[1 + static_cast<std::size_t>(i) * hidden + h * b.dim + d], y[d] / total,
                      kEps * (2 * terms + 16) * size[d] / total)
              << "sequence " << s << " token " << i << " head " << h << " dim " << b.dim;
      }
}

Batch linear_batch(std::size_t heads, std::size_t dim, const std::vector<int>& lengths, float scale = 1.0f) {
  Batch b(heads, dim, lengths, scale);
  b.linear = true;
  return b;
}

TEST_P(Kernels, LinearAttentionMatchesDouble) {
  for (const std::size_t dim : {1, 5, 8, 16, 24, 32, 33, 64, 71}) {
    const Batch b = linear_batch(3, dim, {1, 2, 7, 17, 63, 64, 65, 131});
    expect_linear(b, b.run(t()));
    if (HasFatalFailure()) return;
  }
  for (const float scale : {1e-6f, 12.0f, 60.0f, 1e8f}) {  // from all features alike to most of them at their floor
    const Batch b = linear_batch(2, 32, {40, 3}, scale);
    expect_linear(b, b.run(t()));
  }
}

TEST_P(Kernels, LinearAttentionStaysExactOverLongTexts) {
  const Batch b = linear_batch(1, 16, {2048});
  const std::vector<float> out = b.run(t());
  if (GetParam() != Tier::ref) {  // its blocks keep rounding below what a chain of 2,048 sums may cost
    Batch constant = b;
    for (std::size_t i = 0; i < b.tokens(); ++i) std::fill_n(&constant.qkv[1 + i * 48 + 32], 16, 3.0f);
    const std::vector<float> same = constant.run(t());
    for (std::size_t i = 0; i < b.tokens() * b.dim; ++i)
      ASSERT_NEAR(same[1 + i], 3.0, 60 * kEps);  // weights add up to 1
  }
  expect_linear(b, out);
}

TEST_P(Kernels, LinearAttentionOfNothingBelowTheFloorIsAMean) {
  Batch b = linear_batch(1, 8, {5});
  for (std::size_t i = 0; i < 5; ++i) std::fill_n(&b.qkv[1 + i * 24], 16, -1e30f);  // q and k
  const std::vector<float> out = b.run(t());
  for (std::size_t d = 0; d < 8; ++d) {
    double mean = 0;
    for (std::size_t i = 0; i < 5; ++i) mean += b.qkv[1 + i * 24 + 16 + d] / 5.0;
    for (std::size_t i = 0; i < 5; ++i) ASSERT_NEAR(out[1 + i * 8 + d], mean, 8 * kEps);
  }
}

TEST_P(Kernels, LinearAttentionIsBitEqualAloneInBatchAndForAnyThreads) {
  const Batch b = linear_batch(4, 24, {33, 1, 130, 64, 200});
  const std::vector<float> all = b.run(t());
  for (std::size_t s = 0; s < b.sequences(); ++s) {
    Batch alone = linear_batch(4, 24, {b.offsets[s + 1] - b.offsets[s]});
    std::copy_n(b.qkv.begin() + 1 + b.offsets[s] * 288, alone.tokens() * 288, alone.qkv.begin() + 1);
    const std::vector<float> out = alone.run(t());
    ASSERT_EQ(0, std::memcmp(&out[1], &all[1 + static_cast<std::size_t>(b.offsets[s]) * 96], alone.tokens() * 96 * 4))
        << s;
  }
  for (const int threads : {2, 3, 7}) {
    ThreadPool pool(threads);
    const std::size_t stride = attention_scratch_stride(t(), 200, 24, true);
    std::vector<float> out(all.size(), kGuard), scratch(stride * static_cast<std::size_t>(threads), kGuard);
    attention(t(), pool, {b.args(out, scratch), stride});
    EXPECT_EQ(out, all);
  }
}

TEST_P(Kernels, LinearAttentionKeepsNanInItsSequence) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const std::size_t part : {0, 1, 2}) {  // q, k, v of token 75, sequence 1, head 0, column 3
    Batch b = linear_batch(2, 16, {9, 80, 5});
    b.qkv[1 + 75 * 96 + part * 16 + 3] = nan;
    const std::vector<float> out = b.run(t());
    for (std::size_t i = 0; i < b.tokens(); ++i)
      for (std::size_t d = 0; d < 32; ++d) {
        const bool there = i >= 9 && i < 89 && d < 16, reached = part == 0 ? i == 75 : part == 1 || d == 3;
        ASSERT_EQ(std::isnan(out[1 + i * 32 + d]), there && reached) << part << " " << i << " " << d;
      }
  }
}

// ---- row-wise kernels

const std::size_t kSizes[] = {1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 97, 384, 769};

TEST_P(Kernels, LayernormMatchesDouble) {
  for (const std::size_t n : kSizes)
    for (const float scale : {1.0f, 1e-6f, 1e6f}) {
      const std::size_t rows = 9, ld = n + 3;  // two groups of rows abreast, and one alone
      std::vector<float> x = noise(rows * ld + 1, n, scale), y(rows * ld + 1, kGuard);
      for (float& v : x) v += 0.25f * scale;
      const std::vector<float> gamma = noise(n + 1, 5), beta = noise(n + 1, 6);
      t().layernorm(&x[1], ld, rows, n, &gamma[1], &beta[1], 1e-12f, &y[1], ld);
      for (std::size_t r = 0; r < rows; ++r) {
        double mean = 0.0, variance = 0.0, size = 0.0;
        for (std::size_t i = 0; i < n; ++i) mean += x[1 + r * ld + i];
        mean /= static_cast<double>(n);
        for (std::size_t i = 0; i < n; ++i) {
          const double d = x[1 + r * ld + i] - mean;
          variance += d * d;
          size = std::max(size, std::abs(static_cast<double>(x[1 + r * ld + i])));
        }
        const double inverse = 1.0 / std::sqrt(variance / static_cast<double>(n) + 1e-12);
        for (std::size_t i = 0; i < n; ++i) {
          const double z = (x[1 + r * ld + i] - mean) * inverse;
          const double shift =
              kEps * (static_cast<double>(n) / 8 + 4) * size * inverse;  // error of the mean, in units of z
          const double tolerance =
              std::abs(gamma[1 + i]) * (shift * 2 + std::abs(z) * kEps * (static_cast<double>(n) / 4 + 8)) + kEps * 2;
          ASSERT_NEAR(y[1 + r * ld + i], z * gamma[1 + i] + beta[1 + i], tolerance) << n << " row " << r << " at " << i;
        }
        for (std::size_t i = n; i < ld && r + 1 < rows; ++i) ASSERT_EQ(y[1 + r * ld + i], kGuard);
      }
      std::vector<float> same = x;  // in place, and every row alone, bit for bit
      for (std::size_t r = 0; r < rows; ++r) {
        t().layernorm(&same[1 + r * ld], ld, 1, n, &gamma[1], &beta[1], 1e-12f, &same[1 + r * ld], ld);
        ASSERT_EQ(0, std::memcmp(&same[1 + r * ld], &y[1 + r * ld], n * 4)) << n << " row " << r;
      }
    }
}

TEST_P(Kernels, EmbedAndMeanRows) {
  for (const std::size_t n : kSizes) {
    const std::vector<float> word = noise(5 * n, 1), position = noise(4 * n, 2), type = noise(2 * n, 3);
    const std::int32_t ids[] = {4, 0, 2}, positions[] = {0, 3, 1}, second[] = {0, 1, 1}, zeros[] = {0, 0, 0};
    const std::pair<const float*, const std::int32_t*> kinds[] = {
        {nullptr, nullptr}, {type.data(), nullptr}, {type.data(), second}};
    for (const auto& [table, types] : kinds) {
      std::vector<float> y(3 * n + 2, kGuard);
      t().embed(word.data(), position.data(), table, ids, positions, types, 3, n, &y[1]);
      for (std::size_t r = 0; r < 3; ++r)
        for (std::size_t i = 0; i < n; ++i) {
          const std::size_t row = static_cast<std::size_t>((types ? types : zeros)[r]);
          const double sum = double{word[static_cast<std::size_t>(ids[r]) * n + i]} +
                             position[static_cast<std::size_t>(positions[r]) * n + i] +
                             (table ? table[row * n + i] : 0.0f);
          ASSERT_NEAR(y[1 + r * n + i], sum, 3 * kEps);
        }
      ASSERT_EQ(y.front(), kGuard);
      ASSERT_EQ(y.back(), kGuard);
    }
    for (const std::size_t rows : {1, 2, 33}) {
      const std::vector<float> x = noise(rows * (n + 2), 9);
      std::vector<float> y(n + 2, kGuard);
      t().mean_rows(x.data(), n + 2, rows, n, &y[1]);
      for (std::size_t i = 0; i < n; ++i) {
        double sum = 0.0;
        for (std::size_t r = 0; r < rows; ++r) sum += x[r * (n + 2) + i];
        ASSERT_NEAR(y[1 + i], sum / static_cast<double>(rows), kEps * static_cast<double>(rows + 2));
      }
      ASSERT_EQ(y.front(), kGuard);
      ASSERT_EQ(y.back(), kGuard);
    }
  }
}

TEST_P(Kernels, SoftmaxMatchesDouble) {
  for (const std::size_t n : kSizes)
    for (const float scale : {1.0f, 30.0f, 1e4f, 1e-20f})
      for (const float temperature : {1.0f, 2.5f, 0.1f}) {
        const std::vector<float> x = noise(n + 1, n, scale);
        std::vector<float> y(n + 2, kGuard);
        t().softmax(&x[1], n, temperature, &y[1]);
        double top = -1e300, total = 0.0, largest = 0.0;
        for (std::size_t i = 0; i < n; ++i) {
          top = std::max(top, static_cast<double>(x[1 + i]) / temperature);
          largest = std::max(largest, std::abs(static_cast<double>(x[1 + i]) / temperature));
        }
        for (std::size_t i = 0; i < n; ++i) total += std::exp(static_cast<double>(x[1 + i]) / temperature - top);
        for (std::size_t i = 0; i < n; ++i) {
          const double p = std::exp(static_cast<double>(x[1 + i]) / temperature - top) / total;
          // An argument of size `largest` carries its own rounding into the exponential.
          ASSERT_NEAR(y[1 + i], p, p * kEps * (2 * largest + static_cast<double>(n) / 4 + 8) + 1e-37)
              << n << " " << scale;
        }
        ASSERT_EQ(y.front(), kGuard);
        ASSERT_EQ(y.back(), kGuard);
      }
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (std::size_t at = 0; at < 20; ++at) {
    std::vector<float> x(20, 0.5f), y(20);
    x[at] = nan;
    t().softmax(x.data(), 20, 1.0f, y.data());
    for (const float v : y) ASSERT_TRUE(std::isnan(v));
  }
}

TEST_P(Kernels, LstmCellMatchesDouble) {
  const auto sigmoid = [](double x) { return 1.0 / (1.0 + std::exp(-x)); };
  for (const std::size_t n : kSizes)
    for (const float scale : {1e-8f, 0.1f, 1.0f, 6.0f, 200.0f}) {
      const std::vector<float> gates = noise(4 * n + 1, n, scale);
      std::vector<float> cell = noise(n + 2, 7), hidden(n + 2, kGuard);
      const std::vector<float> before = cell;
      t().lstm_cell(&gates[1], n, &cell[1], &hidden[1]);
      for (std::size_t i = 0; i < n; ++i) {
        const double gi = gates[1 + i], gf = gates[1 + n + i], gg = gates[1 + 2 * n + i], go = gates[1 + 3 * n + i];
        const double c = sigmoid(gf) * before[1 + i] + sigmoid(gi) * std::tanh(gg);
        ASSERT_NEAR(cell[1 + i], c, 8 * kEps) << n << " " << scale;
        ASSERT_NEAR(hidden[1 + i], sigmoid(go) * std::tanh(c), 12 * kEps) << n << " " << scale;
      }
      ASSERT_EQ(hidden.front(), kGuard);
      ASSERT_EQ(hidden.back(), kGuard);
      ASSERT_EQ(cell.front(), before.front());
      ASSERT_EQ(cell.back(), before.back());
    }
  std::vector<float> gates(40, 0.5f), cell(10, 0.5f), hidden(10);
  gates[23] = std::numeric_limits<float>::quiet_NaN();  // gate g of unit 3
  t().lstm_cell(gates.data(), 10, cell.data(), hidden.data());
  for (std::size_t i = 0; i < 10; ++i) ASSERT_EQ(std::isnan(hidden[i]), i == 3);
}

INSTANTIATE_TEST_SUITE_P(Tiers, Kernels, ::testing::ValuesIn(kAllTiers), tier_of);

}  // namespace
}  // namespace fathom::kernels
