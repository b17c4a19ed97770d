#include "kernels/avx2/vec_avx2.h"
#include "kernels/args.h"
#include "kernels/math.inc"
#include "kernels/gemm.inc"
#include "kernels/gemm_fp32.inc"
#include "kernels/tiers.h"

namespace fathom::kernels::avx2 {

static_assert(kPanel == kPanelWidth);
void gemm(const GemmArgs& args) noexcept { gemm_any<Fp32>(args); }

}  // namespace fathom::kernels::avx2
