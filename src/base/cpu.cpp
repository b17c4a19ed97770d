#include "base/cpu.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>

#include <cstdio>
#endif

namespace fathom {

#if defined(__x86_64__)
namespace {

std::uint64_t xgetbv0() {
  std::uint32_t low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return std::uint64_t{high} << 32 | low;
}

// Tile registers are kilobytes that every switch between threads would save: Linux (5.16 and later) keeps them from a
// process until it asks. It says whether it would give them without giving them.
constexpr int kTileData = 18;  // XFEATURE_XTILEDATA
bool tiles_offered() {
  constexpr int kSupported = 0x1021;  // ARCH_GET_XCOMP_SUPP
  std::uint64_t parts = 0;
  return ::syscall(SYS_arch_prctl, kSupported, &parts) == 0 && (parts >> kTileData & 1) != 0;
}
bool tiles_granted() {
  constexpr int kRequest = 0x1023;  // ARCH_REQ_XCOMP_PERM
  return ::syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
}

}  // namespace

CpuFeatures detect_cpu() {
  CpuFeatures features;
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid(0, &a, &b, &c, &d)) return features;
  const bool intel = b == signature_INTEL_ebx && c == signature_INTEL_ecx && d == signature_INTEL_edx;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return features;
  const bool osxsave = c >> 27 & 1, fma = c >> 12 & 1, f16c = c >> 29 & 1;
  if (!osxsave) return features;
  const std::uint64_t saved = xgetbv0();
  const bool ymm = (saved & 0x6) == 0x6, zmm = (saved & 0xE6) == 0xE6, tiles = (saved & 0x60000) == 0x60000;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return features;
  const bool f = b >> 16 & 1, dq = b >> 17 & 1, bw = b >> 30 & 1, vl = b >> 31 & 1;
  features.avx2 = ymm && fma && f16c && (b >> 5 & 1);
  features.avx512 = zmm && features.avx2 && f && dq && bw && vl;
  features.avx512_vnni = features.avx512 && (c >> 11 & 1);
  const bool amx_bf16 = d >> 22 & 1, amx_tile = d >> 24 & 1, amx_int8 = d >> 25 & 1;
  const unsigned leaves = a;
  if (leaves >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d)) features.avx512_bf16 = features.avx512 && (a >> 5 & 1);
  features.quick_bf16 = features.avx512_bf16 && !intel;
  features.avx512_amx =
      features.avx512_vnni && features.avx512_bf16 && tiles && amx_tile && amx_int8 && amx_bf16 && tiles_offered();
  return features;
}

std::string cpu_name() {
  unsigned words[12] = {};
  for (unsigned i = 0; i < 3; ++i)
    if (!__get_cpuid(0x80000002u + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2], &words[4 * i + 3]))
      return "x86-64";
  char text[49] = {};
  std::memcpy(text, words, 48);
  return text;
}
#elif defined(__aarch64__)
CpuFeatures detect_cpu() {
  CpuFeatures features;
  const unsigned long capabilities = ::getauxval(AT_HWCAP);
  features.neon = capabilities & HWCAP_ASIMD;
  features.neon_dotprod = features.neon && (capabilities & HWCAP_ASIMDDP);
  return features;
}

// AArch64 has no text to ask for; Linux lets programs read the register that holds who made the core, and which it is.
std::string cpu_name() {
  if (!(::getauxval(AT_HWCAP) & HWCAP_CPUID)) return "AArch64";
  std::uint64_t id = 0;
  __asm__("mrs %0, midr_el1" : "=r"(id));
  char text[48];
  std::snprintf(text, sizeof text, "AArch64, implementer 0x%02x part 0x%03x", static_cast<unsigned>(id >> 24 & 0xFF),
                static_cast<unsigned>(id >> 4 & 0xFFF));
  return text;
}
#else
CpuFeatures detect_cpu() { return {}; }
std::string cpu_name() { return "unknown"; }
#endif

const char* tier_name(Tier tier) {
  switch (tier) {
    case Tier::ref:
      return "ref";
    case Tier::avx2:
      return "avx2";
    case Tier::avx512:
      return "avx512";
    case Tier::avx512_vnni:
      return "avx512_vnni";
    case Tier::avx512_bf16:
      return "avx512_bf16";
    case Tier::avx512_amx:
      return "avx512_amx";
    case Tier::neon:
      return "neon";
    case Tier::neon_dotprod:
      return "neon_dotprod";
  }
  return "?";
}

bool tier_available(Tier tier, const CpuFeatures& features) {
  switch (tier) {
    case Tier::ref:
      return true;
    case Tier::avx2:
      return features.avx2;
    case Tier::avx512:
      return features.avx512;
    case Tier::avx512_vnni:
      return features.avx512 && features.avx512_vnni;
    case Tier::avx512_bf16:
      return features.avx512 && features.avx512_vnni && features.avx512_bf16;
    case Tier::avx512_amx:
      return features.avx512_amx && tier_available(Tier::avx512_bf16, features);
    case Tier::neon:
      return features.neon;
    case Tier::neon_dotprod:
      return features.neon && features.neon_dotprod;
  }
  return false;
}

Tier best_tier(const CpuFeatures& features) {
  Tier best = Tier::ref;
  for (const Tier tier : kAllTiers)
    if (tier_available(tier, features) && (tier != Tier::avx512_bf16 || features.quick_bf16)) best = tier;
  return best;
}

Result<Tier> choose_tier(const std::string& wanted, const CpuFeatures& features) {
  if (wanted.empty() || wanted == "auto") return best_tier(features);
  for (const Tier tier :
       {Tier::ref, Tier::avx2, Tier::avx512, Tier::avx512_vnni, Tier::avx512_bf16, Tier::avx512_amx, Tier::neon,
        Tier::neon_dotprod}) {  // of other architectures too: their names are not mistakes
    if (wanted != tier_name(tier)) continue;
    if (tier_available(tier, features)) return tier;
    return Error{Code::unsupported,
                 "kernel tier '" + wanted + "' was asked for, but this CPU (" + cpu_name() + ") lacks it" +
                     (tier == Tier::avx512_amx ? ", or its operating system does not allow it" : ""),
                 std::string("use --tier ") + tier_name(best_tier(features)) + " or leave it out"};
  }
  std::string names = "one of: auto";
  for (const Tier tier : kAllTiers) names += std::string(", ") + tier_name(tier);
  return Error{Code::usage, "kernel tier '" + wanted + "' does not exist", names};
}

bool enable_tier([[maybe_unused]] Tier tier) {
#if defined(__x86_64__)
  if (tier == Tier::avx512_amx) return tiles_granted();
#endif
  return true;
}

Result<Tier> take_tier(const std::string& wanted, CpuFeatures features) {
  FATHOM_TRY(Tier tier, choose_tier(wanted, features));
  if (enable_tier(tier)) return tier;
  if (wanted == tier_name(tier))
    return Error{Code::unsupported, "kernel tier '" + wanted + "' was asked for, but Linux refuses its tile registers",
                 "a signal stack that is too small for them is the usual reason; or leave --tier out"};
  features.avx512_amx = false;
  return best_tier(features);
}

std::size_t core_cache_bytes() {
#ifdef _SC_LEVEL2_CACHE_SIZE
  return static_cast<std::size_t>(std::max(0L, ::sysconf(_SC_LEVEL2_CACHE_SIZE)));
#else
  return 0;
#endif
}

}  // namespace fathom
