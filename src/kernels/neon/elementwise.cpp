#include "kernels/neon/vec_neon.h"
#include "kernels/math.inc"
#include "kernels/elementwise.inc"
#include "kernels/tiers.h"

namespace fathom::kernels::neon {

#include "kernels/elementwise_entries.inc"

}  // namespace fathom::kernels::neon
