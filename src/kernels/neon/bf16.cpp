#include "kernels/neon/vec_neon.h"
#include "kernels/args.h"
#include "kernels/math.inc"
#include "kernels/gemm.inc"
#include "kernels/bf16_as_fp32.inc"
#include "kernels/gemm_bf16.inc"
#include "kernels/tiers.h"

namespace fathom::kernels::neon {

void gemm_bf16(const GemmArgs& args) noexcept { gemm_any<Bf16>(args); }

}  // namespace fathom::kernels::neon
