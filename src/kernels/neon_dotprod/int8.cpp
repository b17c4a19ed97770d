#include "kernels/neon_dotprod/int8_dot.h"
#include "kernels/args.h"
#include "kernels/math.inc"
#include "kernels/gemm.inc"
#include "kernels/gemm_int8.inc"
#include "kernels/tiers.h"

namespace fathom::kernels::neon_dotprod {

void gemm_int8(const Int8GemmArgs& args) noexcept { gemm_any<Int8>(args); }

}  // namespace fathom::kernels::neon_dotprod
