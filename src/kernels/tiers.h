// The kernels of each tier under their plain names; table.cpp is the only reader. Lean: tier sources include it.
#pragma once

#include "kernels/args.h"

namespace fathom::kernels {

namespace ref {
inline constexpr std::size_t kPanel = 16;  // columns of one packed panel
#include "kernels/tier.inc"
}  // namespace ref

namespace avx2 {
inline constexpr std::size_t kPanel = 16;
#include "kernels/tier.inc"
}  // namespace avx2

namespace avx512 {
inline constexpr std::size_t kPanel = 32;
#include "kernels/tier.inc"
}  // namespace avx512

}  // namespace fathom::kernels
