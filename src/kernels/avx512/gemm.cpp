#include "kernels/avx512/vec_avx512.h"
#include "kernels/args.h"
#include "kernels/math.inc"
#include "kernels/gemm.inc"
#include "kernels/gemm_fp32.inc"
#include "kernels/tiers.h"

namespace fathom::kernels::avx512 {

static_assert(kPanel == kPanelWidth);
void gemm(const GemmArgs& args) noexcept { gemm_any<Fp32>(args); }

}  // namespace fathom::kernels::avx512
