#include "kernels/avx2/int8_dot.h"
#include "kernels/args.h"
#include "kernels/math.inc"
#include "kernels/gemm.inc"
#include "kernels/gemm_int8.inc"
#include "kernels/elementwise.inc"
#include "kernels/quantize.inc"
#include "kernels/tiers.h"

namespace fathom::kernels::avx2 {

void gemm_int8(const Int8GemmArgs& args) noexcept { gemm_any<Int8>(args); }

void quantize_rows(const float* x, std::size_t ldx, std::size_t rows, std::size_t k, std::uint8_t* q, std::size_t ldq,
                   float* scale, std::int32_t* zero) noexcept {
  quantize_all(x, ldx, rows, k, kLevels, q, ldq, scale, zero);
}

void layernorm_quantize(const float* x, std::size_t ldx, std::size_t rows, std::size_t n, const float* gamma, const float* beta,
                        float eps, float* y, std::size_t ldy, std::uint8_t* q, std::size_t ldq, float* scale,
                        std::int32_t* zero) noexcept {
  layernorm_quantize_all(x, ldx, rows, n, gamma, beta, eps, y, ldy, kLevels, q, ldq, scale, zero);
}

}  // namespace fathom::kernels::avx2
