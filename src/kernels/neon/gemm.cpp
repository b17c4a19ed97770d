#include "kernels/neon/vec_neon.h"
#include "kernels/args.h"
#include "kernels/math.inc"
#include "kernels/gemm.inc"
#include "kernels/gemm_fp32.inc"
#include "kernels/tiers.h"

namespace fathom::kernels::neon {

static_assert(kPanel == kPanelWidth);
void gemm(const GemmArgs& args) noexcept { gemm_any<Fp32>(args); }

}  // namespace fathom::kernels::neon
