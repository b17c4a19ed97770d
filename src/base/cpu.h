// What this processor can do, read by ourselves (x86-64: cpuid and XGETBV; AArch64: what the kernel passes to every
// process), and the kernel tier chosen from it. Nothing here changes the process but enable_tier(avx512_amx): it asks
// Linux for tile registers, for the whole process and for good: alternate signal stacks must then have room for them
// (sysconf(_SC_MINSIGSTKSZ)).
#pragma once

#include <array>
#include <string>

#include "base/result.h"

namespace fathom {

struct CpuFeatures {
  bool avx2 = false;         // with FMA and F16C, saved by the operating system
  bool avx512 = false;       // F, BW, DQ, VL, saved by the operating system
  bool avx512_vnni = false;  // avx512 with 8-bit dot products
  bool avx512_bf16 = false;  // avx512 with bf16 dot products
  bool quick_bf16 =
      false;  // and they do more than FMA: AMD's do twice as much, Intel's half as much (docs/performance.md)
  bool avx512_amx =
      false;          // all of these with AMX tiles of int8 and bf16, which the operating system gives to who asks
  bool neon = false;  // Advanced SIMD, in every AArch64 CPU that runs Linux
  bool neon_dotprod = false;  // neon with 8-bit dot products (ARMv8.2)
};

// Kernel tiers; those of an architecture in rising order of preference, each but ref and avx2 with all that the one
// before it has. avx512_bf16 is preferred only where its products are quick.
enum class Tier { ref, avx2, avx512, avx512_vnni, avx512_bf16, avx512_amx, neon, neon_dotprod };

// The tiers that this program was built with: those of its own architecture.
#if defined(__x86_64__)
inline constexpr std::array kAllTiers = {Tier::ref,         Tier::avx2,        Tier::avx512,
                                         Tier::avx512_vnni, Tier::avx512_bf16, Tier::avx512_amx};
#elif defined(__aarch64__)
inline constexpr std::array kAllTiers = {Tier::ref, Tier::neon, Tier::neon_dotprod};
#else
inline constexpr std::array kAllTiers = {Tier::ref};
#endif

CpuFeatures detect_cpu();
std::string cpu_name();
const char* tier_name(Tier tier);
bool tier_available(Tier tier, const CpuFeatures& features);
Tier best_tier(const CpuFeatures& features);

// `wanted` is "" or "auto" for the best tier, else a tier's name; fails loudly if this CPU lacks it.
Result<Tier> choose_tier(const std::string& wanted, const CpuFeatures& features);

// Before a tier's kernels run: asks Linux for what it keeps from a process until then, which are AMX's tiles; false:
// refused, as where an alternate signal stack is too small for them. Of all other tiers true.
bool enable_tier(Tier tier);

// choose_tier() and enable_tier(): one that was asked for by name must be there, the best gives way to the next.
Result<Tier> take_tier(const std::string& wanted, CpuFeatures features);

std::size_t core_cache_bytes();  // of a core's second cache; 0 where the system does not tell

}  // namespace fathom
