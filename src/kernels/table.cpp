#include "kernels/table.h"

#include <algorithm>

#include "kernels/tiers.h"

namespace fathom::kernels {
namespace {

template <std::size_t P>
std::size_t packed_size(std::size_t n, std::size_t k) noexcept {
  return (n + P - 1) / P * P * k;
}

// Panel after panel, k outermost within a panel. Blocks of k keep the strided writes in L1.
template <std::size_t P>
void pack_weights(const float* w, std::size_t n, std::size_t k, float* packed) noexcept {
  constexpr std::size_t kBlock = 64;
  for (std::size_t column = 0; column < n; column += P, packed += P * k)
    for (std::size_t k0 = 0; k0 < k; k0 += kBlock) {
      const std::size_t k1 = std::min(k, k0 + kBlock);
      for (std::size_t j = 0; j < P; ++j)
        for (std::size_t i = k0; i < k1; ++i) packed[i * P + j] = column + j < n ? w[(column + j) * k + i] : 0.0f;
    }
}

constexpr Table kRef = {Tier::ref, "ref", ref::kPanel, packed_size<ref::kPanel>, pack_weights<ref::kPanel>,
                        ref::gemm, ref::attention_scratch, ref::attention, ref::layernorm, ref::embed,
                        ref::mean_rows, ref::softmax, ref::lstm_cell};
#if defined(__x86_64__)
constexpr Table kAvx2 = {Tier::avx2, "avx2", avx2::kPanel, packed_size<avx2::kPanel>, pack_weights<avx2::kPanel>,
                         avx2::gemm, avx2::attention_scratch, avx2::attention, avx2::layernorm, avx2::embed,
                         avx2::mean_rows, avx2::softmax, avx2::lstm_cell};
constexpr Table kAvx512 = {Tier::avx512, "avx512", avx512::kPanel, packed_size<avx512::kPanel>, pack_weights<avx512::kPanel>,
                           avx512::gemm, avx512::attention_scratch, avx512::attention, avx512::layernorm, avx512::embed,
                           avx512::mean_rows, avx512::softmax, avx512::lstm_cell};
#endif

}  // namespace

const Table& table(Tier tier) {
#if defined(__x86_64__)
  if (tier == Tier::avx512) return kAvx512;
  if (tier == Tier::avx2) return kAvx2;
#endif
  (void)tier;
  return kRef;
}

}  // namespace fathom::kernels
