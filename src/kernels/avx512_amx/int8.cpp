#include "kernels/avx512_vnni/int8_dot.h"
#include "kernels/args.h"
#include "kernels/math.inc"
#include "kernels/gemm.inc"
#include "kernels/gemm_int8.inc"
#include "kernels/avx512_amx/gemm_tiles.h"
#include "kernels/tiers.h"

namespace fathom::kernels {
namespace {

struct Int8Tiles : Int8 {
  static std::size_t row_bytes(std::size_t k) { return steps(k) * 4; }
  static bool bare(const Args& g) { return g.k % kTileBytes == 0; }
  static void copy_row(const Args& g, std::size_t row, std::size_t bytes, char* to) {
    store(reinterpret_cast<float*>(to + bytes - kTileBytes), zero());  // what lies behind k
    copy(g, row, 0, steps(g.k), reinterpret_cast<float*>(to));
  }
  template <int kSum, int kRows, int kWeights>
  static void multiply() {
    multiply_int8<kSum, kRows, kWeights>();
  }
};

}  // namespace

namespace avx512_amx {

void gemm_int8(const Int8GemmArgs& args) noexcept {
  constexpr std::size_t kLeastRows =
      4;  // fewer take as long as their weights, by any instruction; sums are exact, so these are the same bits
  if (args.m < kLeastRows) return avx512_vnni::gemm_int8(args);
  gemm_tiles<Int8Tiles>(args);
}

}  // namespace avx512_amx
}  // namespace fathom::kernels
