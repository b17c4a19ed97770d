#include "kernels/neon/vec_neon.h"
#include "kernels/args.h"
#include "kernels/math.inc"
#include "kernels/attention.inc"
#include "kernels/tiers.h"

namespace fathom::kernels::neon {

std::size_t attention_scratch(std::size_t longest, std::size_t dim) noexcept { return attention_floats(longest, dim); }

void attention(const AttentionArgs& args) noexcept { attention_pairs(args); }

}  // namespace fathom::kernels::neon
