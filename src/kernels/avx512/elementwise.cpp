#include "kernels/avx512/vec_avx512.h"
#include "kernels/math.inc"
#include "kernels/elementwise.inc"
#include "kernels/tiers.h"

namespace fathom::kernels::avx512 {

#include "kernels/elementwise_entries.inc"

}  // namespace fathom::kernels::avx512
