#include "kernels/neon/vec_neon.h"
#include "kernels/args.h"
#include "kernels/math.inc"
#include "kernels/attention.inc"
#include "kernels/linear_attention.inc"
#include "kernels/tiers.h"

namespace fathom::kernels::neon {

std::size_t attention_scratch(std::size_t longest, std::size_t dim, bool linear) noexcept {
  return mixing_floats(longest, dim, linear);
}

void attention(const AttentionArgs& args) noexcept { mix_pairs(args); }

}  // namespace fathom::kernels::neon
