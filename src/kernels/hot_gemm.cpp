#include "kernels/hot_gemm.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "base/random.h"
#include "kernels/packed_map.h"
#include "tensor/tensor.h"

namespace fathom::kernels {

using Clock = std::chrono::steady_clock;

double hot_gemm(const Table& table, ThreadPool& pool, Precision precision) {
  constexpr std::size_t kRows = 64, kSide = 256;
  Random random(2);
  std::vector<float> w(kSide * kSide), x(kRows * kSide);
  for (float& value : w) value = static_cast<float>(random.normal());
  for (float& value : x) value = static_cast<float>(random.normal());
  Buffer<std::byte> packed(packed_bytes(table, precision, kSide, kSide));
  pack_map(table, precision, w.data(), kSide, kSide, packed.data());
  Buffer<std::uint8_t> q(kRows * kSide);
  std::vector<float> scale(kRows);
  std::vector<std::int32_t> zero(kRows);
  table.quantize_rows(x.data(), kSide, kRows, kSide, q.data(), kSide, scale.data(), zero.data());
  std::vector<double> rates;
  for (int round = 0; round < 9; ++round) {
    const auto start = Clock::now();
    constexpr int kTimes = 200;
    pool.parallel(pool.threads(), [&](int) {
      std::vector<float> c(kRows * kSide);
      Buffer<float> scratch(table.gemm_scratch);
      GemmArgs args;
      args.m = kRows, args.n = args.n_end = args.k = args.lda = args.ldc = kSide;
      args.a = x.data(), args.c = c.data(), args.packed = packed.data();
      args.scratch = scratch.data();
      Int8GemmArgs quantized;
      static_cast<GemmOutput&>(quantized) = args;
      quantized.a = q.data(), quantized.lda = kSide, quantized.packed = packed.data();
      quantized.row_scale = scale.data(), quantized.row_zero = zero.data();
      for (int i = 0; i < kTimes; ++i) {
        if (precision == Precision::fp32) table.gemm(args);
        if (precision == Precision::bf16) table.gemm_bf16(args);
        if (precision == Precision::int8) table.gemm_int8(quantized);
      }
    });
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    rates.push_back(1e-9 * kTimes * kRows * kSide * kSide * pool.threads() / seconds);
  }
  std::nth_element(rates.begin(), rates.begin() + 4, rates.end());
  return rates[4];
}

}  // namespace fathom::kernels
