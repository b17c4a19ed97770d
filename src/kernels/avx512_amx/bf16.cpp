#include "kernels/avx512_bf16/bf16_dot.h"
#include "kernels/args.h"
#include "kernels/math.inc"
#include "kernels/gemm.inc"
#include "kernels/gemm_bf16.inc"
#include "kernels/avx512_amx/gemm_tiles.h"
#include "kernels/tiers.h"

namespace fathom::kernels {
namespace {

struct Bf16Tiles : Bf16 {
  static std::size_t row_bytes(std::size_t k) { return steps(k) * 4; }
  static bool bare(const Args&) { return false; }
  static void copy_row(const Args& g, std::size_t row, std::size_t bytes, char* to) {
    const float* from = g.a + row * g.lda;
    const auto put = [&](std::size_t i, Vec low, Vec high) {
      _mm512_storeu_si512(to + 2 * i, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low)));
    };
    std::size_t i = 0;
    for (; i + 2 * kWidth <= g.k; i += 2 * kWidth) put(i, load(from + i), load(from + i + kWidth));
    if (2 * i < bytes) {
      const std::size_t left = g.k - i, low = left < kWidth ? left : kWidth;
      put(i, load_first(from + i, low), load_first(from + i + low, left - low));
    }
  }
  template <int kSum, int kRows, int kWeights>
  static void multiply() {
    multiply_bf16<kSum, kRows, kWeights>();
  }
};

}  // namespace

namespace avx512_amx {

void gemm_bf16(const GemmArgs& args) noexcept {
  if (Bf16::steps(args.k) * 4 > kCopiedBytes - kTileBytes)
    return avx512_bf16::gemm_bf16(args);  // not one row would fit
  gemm_tiles<Bf16Tiles>(args);
}

}  // namespace avx512_amx
}  // namespace fathom::kernels
