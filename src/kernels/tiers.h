// The kernels of each tier under their plain names; table.cpp is the only reader. Lean: tier sources include it.
#pragma once

#include "kernels/args.h"

namespace fathom::kernels {

namespace ref {
inline constexpr std::size_t kPanel = 16;  // columns of one packed panel
inline constexpr int kLevels = 255;        // largest quantized activation
#include "kernels/tier.inc"
}  // namespace ref

namespace avx2 {
inline constexpr std::size_t kPanel = 16;
inline constexpr int kLevels = 127;  // two products of 127 * 127 stay within the 16 bits that pairs are summed in
#include "kernels/tier.inc"
}  // namespace avx2

namespace avx512 {
inline constexpr std::size_t kPanel = 32;
inline constexpr int kLevels = 127;
#include "kernels/tier.inc"
}  // namespace avx512

// Of tiers built upon another: only what differs; table.cpp takes the rest from the tier below.
namespace avx512_vnni {
inline constexpr std::size_t kPanel = avx512::kPanel;
inline constexpr int kLevels = 255;
#include "kernels/tier_int8.inc"
}  // namespace avx512_vnni

namespace avx512_bf16 {
inline constexpr std::size_t kPanel = avx512::kPanel;
void gemm_bf16(const GemmArgs& args) noexcept;
}  // namespace avx512_bf16

namespace avx512_amx {
inline constexpr std::size_t kPanel = avx512::kPanel;
void gemm_bf16(const GemmArgs& args) noexcept;
void gemm_int8(const Int8GemmArgs& args) noexcept;
}  // namespace avx512_amx

namespace neon {
inline constexpr std::size_t kPanel = 16;
inline constexpr int kLevels = 255;
#include "kernels/tier.inc"
}  // namespace neon

namespace neon_dotprod {
inline constexpr std::size_t kPanel = neon::kPanel;
void gemm_int8(const Int8GemmArgs& args) noexcept;
}  // namespace neon_dotprod

}  // namespace fathom::kernels
