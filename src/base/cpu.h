// What this processor can do, read by cpuid and XGETBV ourselves, and the kernel tier chosen from it.
#pragma once

#include <array>
#include <string>

#include "base/result.h"

namespace fathom {

struct CpuFeatures {
  bool avx2 = false;    // with FMA and F16C, saved by the operating system
  bool avx512 = false;  // F, BW, DQ, VL, saved by the operating system
  bool avx512_vnni = false;  // avx512 with 8-bit dot products
  bool avx512_bf16 = false;  // avx512 with bf16 dot products
};

// Kernel tiers in rising order of preference; each of the last three has all that the one before it has.
enum class Tier { ref, avx2, avx512, avx512_vnni, avx512_bf16 };
inline constexpr std::array<Tier, 5> kAllTiers = {Tier::ref, Tier::avx2, Tier::avx512, Tier::avx512_vnni, Tier::avx512_bf16};

CpuFeatures detect_cpu();
std::string cpu_name();
const char* tier_name(Tier tier);
bool tier_available(Tier tier, const CpuFeatures& features);
Tier best_tier(const CpuFeatures& features);

// `wanted` is "" or "auto" for the best tier, else a tier's name; fails loudly if this CPU lacks it.
Result<Tier> choose_tier(const std::string& wanted, const CpuFeatures& features);

int usable_cores();  // cores this process may run on (affinity mask)

}  // namespace fathom
