#include "kernels/avx2/vec_avx2.h"
#include "kernels/args.h"
#include "kernels/math.inc"
#include "kernels/attention.inc"
#include "kernels/tiers.h"

namespace fathom::kernels::avx2 {

std::size_t attention_scratch(std::size_t longest, std::size_t dim) noexcept { return attention_floats(longest, dim); }

void attention(const AttentionArgs& args) noexcept { attention_pairs(args); }

}  // namespace fathom::kernels::avx2
