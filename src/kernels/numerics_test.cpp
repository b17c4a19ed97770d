#include "kernels/numerics.h"

#include <gtest/gtest.h>

namespace fathom::kernels {
namespace {

// What a name claims, by the functions a table holds: the same float kernels, the same products, the same levels.
// Products of int8 are exact, so that other functions of as many levels give the same sums (int8_test.cpp).
TEST(Numerics, TablesOfOneNameHoldTheSameArithmetic) {
  for (const Tier a : kAllTiers)
    for (const Tier b : kAllTiers) {
      const Table &x = table(a), &y = table(b);
      const bool floats = x.gemm == y.gemm && x.attention == y.attention && x.layernorm == y.layernorm &&
                          x.embed == y.embed && x.mean_rows == y.mean_rows && x.softmax == y.softmax &&
                          x.lstm_cell == y.lstm_cell;
      const auto same = [&](Precision precision) { return numerics_name(x, precision) == numerics_name(y, precision); };
      EXPECT_EQ(same(Precision::fp32), floats) << x.name << " " << y.name;
      EXPECT_EQ(same(Precision::bf16), floats && x.gemm_bf16 == y.gemm_bf16) << x.name << " " << y.name;
      EXPECT_EQ(same(Precision::int8), floats && x.levels == y.levels && x.quantize_rows == y.quantize_rows &&
                                           x.layernorm_quantize == y.layernorm_quantize)
          << x.name << " " << y.name;
    }
}

#if defined(__x86_64__)
// They end in files.
TEST(Numerics, NamesStayWhatTheyAre) {
  EXPECT_EQ(numerics_name(table(Tier::avx512_amx), Precision::fp32), "avx512");
  EXPECT_EQ(numerics_name(table(Tier::avx512_amx), Precision::bf16), "avx512_amx");
  EXPECT_EQ(numerics_name(table(Tier::avx512_vnni), Precision::int8), "avx512/255");
  EXPECT_EQ(numerics_name(table(Tier::avx512), Precision::int8), "avx512/127");
  EXPECT_EQ(numerics_name(table(Tier::avx2), Precision::int8), "avx2/127");
  EXPECT_EQ(numerics_name(table(Tier::ref), Precision::int8), "ref/255");
}
#endif

}  // namespace
}  // namespace fathom::kernels
