#include "kernels/hot_gemm.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "base/random.h"
#include "tensor/tensor.h"

namespace fathom::kernels {

using Clock = std::chrono::steady_clock;

double hot_gemm(const Table& table, ThreadPool& pool, Precision precision) {
  constexpr std::size_t kRows = 64, kSide = 256;
  Random random(2);
  std::vector<float> w(kSide * kSide), x(kRows * kSide);
  for (float& value : w) value = static_cast<float>(random.normal());
  for (float& value : x) value = static_cast<float>(random.normal());
  const std::size_t bytes = precision == Precision::fp32 ? 4 * table.packed_size(kSide, kSide)
                            : precision == Precision::bf16 ? table.packed_size_bf16(kSide, kSide) : table.packed_size_int8(kSide, kSide);
  Buffer<std::byte> packed(bytes);
  if (precision == Precision::fp32) table.pack_weights(w.data(), kSide, kSide, reinterpret_cast<float*>(packed.data()));
  if (precision == Precision::bf16) table.pack_weights_bf16(w.data(), kSide, kSide, packed.data());
  if (precision == Precision::int8) table.pack_weights_int8(w.data(), kSide, kSide, packed.data());
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
      GemmArgs args;
      args.m = kRows, args.n = args.n_end = args.k = args.lda = args.ldc = kSide;
      args.a = x.data(), args.c = c.data(), args.packed = packed.data();
      Int8GemmArgs quantized;
      static_cast<GemmOutput&>(quantized) = args;
      quantized.a = q.data(), quantized.lda = kSide, quantized.row_scale = scale.data(), quantized.row_zero = zero.data(), quantized.packed = packed.data();
      for (int i = 0; i < kTimes; ++i) {
        if (precision == Precision::fp32) table.gemm(args);
        if (precision == Precision::bf16) table.gemm_bf16(args);
        if (precision == Precision::int8) table.gemm_int8(quantized);
      }
    });
    rates.push_back(1e-6 * kTimes * static_cast<double>(kRows * kSide * kSide * static_cast<std::size_t>(pool.threads())) / std::chrono::duration<double, std::milli>(Clock::now() - start).count());
  }
  std::nth_element(rates.begin(), rates.begin() + 4, rates.end());
  return rates[4];
}

}  // namespace fathom::kernels
