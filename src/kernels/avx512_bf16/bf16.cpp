#include "kernels/avx512_bf16/bf16_dot.h"
#include "kernels/args.h"
#include "kernels/math.inc"
#include "kernels/gemm.inc"
#include "kernels/gemm_bf16.inc"
#include "kernels/tiers.h"

namespace fathom::kernels::avx512_bf16 {

void gemm_bf16(const GemmArgs& args) noexcept { gemm_any<Bf16>(args); }

}  // namespace fathom::kernels::avx512_bf16
