// The most that one core's vector units can do with the instructions of a tier and precision, measured: many independent
// sums, operands in registers. Operations: a multiply and an add of one product count two.
// Benchmarks only: target attributes would not do for kernels (docs/adr).
#pragma once

#include <immintrin.h>

#include "base/cpu.h"

namespace fathom::bench {

enum class Precision { fp32, bf16, int8 };

inline const char* name_of(Precision p) { return p == Precision::fp32 ? "fp32" : p == Precision::bf16 ? "bf16" : "int8"; }

constexpr int kRounds = 20000;

__attribute__((target("avx512f"))) inline double fma_avx512() {
  __m512 sums[24];
#pragma GCC unroll 24
  for (auto& s : sums) s = _mm512_setzero_ps();
  const __m512 x = _mm512_setzero_ps();
  for (int i = 0; i < kRounds; ++i) {
#pragma GCC unroll 24
    for (int j = 0; j < 24; ++j) __asm__("vfmadd231ps %1, %1, %0" : "+v"(sums[j]) : "v"(x));
  }
#pragma GCC unroll 24
  for (int j = 0; j < 24; ++j) __asm__ volatile("" : : "v"(sums[j]));
  return kRounds * 24.0 * 16 * 2;
}

__attribute__((target("avx2,fma"))) inline double fma_avx2() {
  __m256 sums[12];
#pragma GCC unroll 24
  for (auto& s : sums) s = _mm256_setzero_ps();
  const __m256 x = _mm256_setzero_ps();
  for (int i = 0; i < kRounds; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < 12; ++j) __asm__("vfmadd231ps %1, %1, %0" : "+x"(sums[j]) : "x"(x));
  }
#pragma GCC unroll 12
  for (int j = 0; j < 12; ++j) __asm__ volatile("" : : "x"(sums[j]));
  return kRounds * 12.0 * 8 * 2;
}

__attribute__((target("avx512bw"))) inline double maddubs_avx512() {
  __m512i sums[24];
#pragma GCC unroll 24
  for (auto& s : sums) s = _mm512_setzero_si512();
  const __m512i x = _mm512_setzero_si512();
  for (int i = 0; i < kRounds; ++i) {
#pragma GCC unroll 24
    for (int j = 0; j < 24; ++j) {
      __m512i t;
      __asm__("vpmaddubsw %2, %2, %1\n\tvpmaddwd %2, %1, %1\n\tvpaddd %1, %0, %0" : "+v"(sums[j]), "=&v"(t) : "v"(x));
    }
  }
#pragma GCC unroll 24
  for (int j = 0; j < 24; ++j) __asm__ volatile("" : : "v"(sums[j]));
  return kRounds * 24.0 * 64 * 2;
}

__attribute__((target("avx2"))) inline double maddubs_avx2() {
  __m256i sums[12];
#pragma GCC unroll 24
  for (auto& s : sums) s = _mm256_setzero_si256();
  const __m256i x = _mm256_setzero_si256();
  for (int i = 0; i < kRounds; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < 12; ++j) {
      __m256i t;
      __asm__("vpmaddubsw %2, %2, %1\n\tvpmaddwd %2, %1, %1\n\tvpaddd %1, %0, %0" : "+x"(sums[j]), "=&x"(t) : "x"(x));
    }
  }
#pragma GCC unroll 12
  for (int j = 0; j < 12; ++j) __asm__ volatile("" : : "x"(sums[j]));
  return kRounds * 12.0 * 32 * 2;
}

__attribute__((target("avx512vnni,avx512f"))) inline double dpbusd() {
  __m512i sums[24];
#pragma GCC unroll 24
  for (auto& s : sums) s = _mm512_setzero_si512();
  const __m512i x = _mm512_setzero_si512();
  for (int i = 0; i < kRounds; ++i) {
#pragma GCC unroll 24
    for (int j = 0; j < 24; ++j) __asm__("vpdpbusd %1, %1, %0" : "+v"(sums[j]) : "v"(x));
  }
#pragma GCC unroll 24
  for (int j = 0; j < 24; ++j) __asm__ volatile("" : : "v"(sums[j]));
  return kRounds * 24.0 * 64 * 2;
}

__attribute__((target("avx512bf16,avx512f"))) inline double dpbf16() {
  __m512 sums[24];
#pragma GCC unroll 24
  for (auto& s : sums) s = _mm512_setzero_ps();
  const __m512 x = _mm512_setzero_ps();
  for (int i = 0; i < kRounds; ++i) {
#pragma GCC unroll 24
    for (int j = 0; j < 24; ++j) __asm__("vdpbf16ps %1, %1, %0" : "+v"(sums[j]) : "v"(x));
  }
#pragma GCC unroll 24
  for (int j = 0; j < 24; ++j) __asm__ volatile("" : : "v"(sums[j]));
  return kRounds * 24.0 * 32 * 2;
}

struct Peak {
  double (*run)();  // returns the operations done
  const char* instructions;
};

// Tier ref is measured against avx2.
inline Peak peak_of(Tier tier, Precision precision) {
  const bool wide = tier >= Tier::avx512;
  if (precision == Precision::int8) {
    if (tier >= Tier::avx512_vnni) return {dpbusd, "vpdpbusd"};
    return wide ? Peak{maddubs_avx512, "vpmaddubsw+vpmaddwd+vpaddd"} : Peak{maddubs_avx2, "vpmaddubsw+vpmaddwd+vpaddd"};
  }
  if (precision == Precision::bf16 && tier >= Tier::avx512_bf16) return {dpbf16, "vdpbf16ps"};
  return wide ? Peak{fma_avx512, "vfmadd"} : Peak{fma_avx2, "vfmadd"};
}

}  // namespace fathom::bench
