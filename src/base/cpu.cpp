#include "base/cpu.h"

#include <cstring>
#include <sched.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace fathom {

#if defined(__x86_64__)
namespace {

std::uint64_t xgetbv0() {
  std::uint32_t low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return std::uint64_t{high} << 32 | low;
}

}  // namespace

CpuFeatures detect_cpu() {
  CpuFeatures features;
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return features;
  const bool osxsave = c >> 27 & 1, fma = c >> 12 & 1, f16c = c >> 29 & 1;
  if (!osxsave) return features;
  const std::uint64_t saved = xgetbv0();
  const bool ymm = (saved & 0x6) == 0x6, zmm = (saved & 0xE6) == 0xE6;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return features;
  const bool f = b >> 16 & 1, dq = b >> 17 & 1, bw = b >> 30 & 1, vl = b >> 31 & 1;
  features.avx2 = ymm && fma && f16c && (b >> 5 & 1);
  features.avx512 = zmm && features.avx2 && f && dq && bw && vl;
  features.avx512_vnni = features.avx512 && (c >> 11 & 1);
  const unsigned leaves = a;
  if (leaves >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d)) features.avx512_bf16 = features.avx512 && (a >> 5 & 1);
  return features;
}

std::string cpu_name() {
  unsigned words[12] = {};
  for (unsigned i = 0; i < 3; ++i)
    if (!__get_cpuid(0x80000002u + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2], &words[4 * i + 3])) return "x86-64";
  char text[49] = {};
  std::memcpy(text, words, 48);
  return text;
}
#else
CpuFeatures detect_cpu() { return {}; }
std::string cpu_name() { return "unknown"; }
#endif

const char* tier_name(Tier tier) {
  switch (tier) {
    case Tier::ref: return "ref";
    case Tier::avx2: return "avx2";
    case Tier::avx512: return "avx512";
    case Tier::avx512_vnni: return "avx512_vnni";
    case Tier::avx512_bf16: return "avx512_bf16";
  }
  return "?";
}

bool tier_available(Tier tier, const CpuFeatures& features) {
  switch (tier) {
    case Tier::ref: return true;
    case Tier::avx2: return features.avx2;
    case Tier::avx512: return features.avx512;
    case Tier::avx512_vnni: return features.avx512 && features.avx512_vnni;
    case Tier::avx512_bf16: return features.avx512 && features.avx512_vnni && features.avx512_bf16;
  }
  return false;
}

Tier best_tier(const CpuFeatures& features) {
  Tier best = Tier::ref;
  for (const Tier tier : kAllTiers)
    if (tier_available(tier, features)) best = tier;
  return best;
}

Result<Tier> choose_tier(const std::string& wanted, const CpuFeatures& features) {
  if (wanted.empty() || wanted == "auto") return best_tier(features);
  for (const Tier tier : kAllTiers) {
    if (wanted != tier_name(tier)) continue;
    if (tier_available(tier, features)) return tier;
    return Error{Code::unsupported, "kernel tier '" + wanted + "' was asked for, but this CPU (" + cpu_name() + ") lacks it",
                 std::string("use --tier ") + tier_name(best_tier(features)) + " or leave it out"};
  }
  std::string names = "one of: auto";
  for (const Tier tier : kAllTiers) names += std::string(", ") + tier_name(tier);
  return Error{Code::usage, "kernel tier '" + wanted + "' does not exist", names};
}

int usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return CPU_COUNT(&set);
}

}  // namespace fathom
