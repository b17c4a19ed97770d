#include "kernels/avx2/vec_avx2.h"
#include "kernels/math.inc"
#include "kernels/elementwise.inc"
#include "kernels/tiers.h"

namespace fathom::kernels::avx2 {

#include "kernels/elementwise_entries.inc"

}  // namespace fathom::kernels::avx2
