#include "kernels/avx512_vnni/int8_dot.h"
#include "kernels/args.h"
#include "kernels/math.inc"
#include "kernels/gemm.inc"
#include "kernels/gemm_int8.inc"
#include "kernels/elementwise.inc"
#include "kernels/quantize.inc"
#include "kernels/tiers.h"

namespace fathom::kernels::avx512_vnni {

#include "kernels/int8_entries.inc"

}  // namespace fathom::kernels::avx512_vnni
