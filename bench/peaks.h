// The most that one core's vector units can do with the instructions of a tier and precision, measured: many
// independent sums, operands in registers. Operations: a multiply and an add of one product count two. Benchmarks only:
// target attributes would not do for kernels (docs/adr).
#pragma once

#include <immintrin.h>

#include "base/cpu.h"
#include "base/precision.h"
#include "kernels/avx512_amx/tiles.h"

namespace fathom::bench {

constexpr int kRounds = 20000;

// COUNT sums of VEC, BODY run on each in turn with `x` as its operands; returns the operations done, PRODUCTS a sum and
// round. A macro because target attributes and the text of assembler cannot be parameters of a template.
#define FATHOM_PEAK(NAME, TARGET, VEC, REGISTER, COUNT, PRODUCTS, BODY)                 \
  __attribute__((target(TARGET))) inline double NAME() {                                \
    VEC sums[COUNT];                                                                    \
    _Pragma("GCC unroll 24") for (auto& s : sums) s = VEC{};                            \
    const VEC x{};                                                                      \
    for (int i = 0; i < kRounds; ++i) {                                                 \
      _Pragma("GCC unroll 24") for (auto& sum : sums) { BODY; }                         \
    }                                                                                   \
    _Pragma("GCC unroll 24") for (auto& s : sums) __asm__ volatile("" : : REGISTER(s)); \
    return kRounds * double{COUNT} * PRODUCTS * 2;                                      \
  }

#define FATHOM_MADDUBS "vpmaddubsw %2, %2, %1\n\tvpmaddwd %2, %1, %1\n\tvpaddd %1, %0, %0"

FATHOM_PEAK(fma_avx512, "avx512f", __m512, "v", 24, 16, __asm__("vfmadd231ps %1, %1, %0" : "+v"(sum) : "v"(x)))
FATHOM_PEAK(fma_avx2, "avx2,fma", __m256, "x", 12, 8, __asm__("vfmadd231ps %1, %1, %0" : "+x"(sum) : "x"(x)))
FATHOM_PEAK(maddubs_avx512, "avx512bw", __m512i, "v", 24, 64, __m512i t; __asm__(FATHOM_MADDUBS
                                                                                 : "+v"(sum), "=&v"(t)
                                                                                 : "v"(x)))
FATHOM_PEAK(maddubs_avx2, "avx2", __m256i, "x", 12, 32, __m256i t; __asm__(FATHOM_MADDUBS
                                                                           : "+x"(sum), "=&x"(t)
                                                                           : "x"(x)))
FATHOM_PEAK(dpbusd, "avx512vnni,avx512f", __m512i, "v", 24, 64, __asm__("vpdpbusd %1, %1, %0" : "+v"(sum) : "v"(x)))
FATHOM_PEAK(dpbf16, "avx512bf16,avx512f", __m512, "v", 24, 32, __asm__("vdpbf16ps %1, %1, %0" : "+v"(sum) : "v"(x)))
#undef FATHOM_MADDUBS

#undef FATHOM_PEAK

// Tiles of 16 rows, four sums in turn: as many products of each of 16 x 16 sums.
template <class Multiply>
double tile_peak(double products, const Multiply& multiply) {
  kernels::shape_tiles(kernels::kTileMost);
  for (int i = 0; i < kRounds; ++i) multiply();
  kernels::release_tiles();
  return kRounds * 4.0 * 16 * 16 * products * 2;
}
inline double tile_int8() {
  return tile_peak(64, [] {
    kernels::multiply_int8<0, 7, 6>();
    kernels::multiply_int8<1, 7, 6>();
    kernels::multiply_int8<2, 7, 6>();
    kernels::multiply_int8<3, 7, 6>();
  });
}
inline double tile_bf16() {
  return tile_peak(32, [] {
    kernels::multiply_bf16<0, 7, 6>();
    kernels::multiply_bf16<1, 7, 6>();
    kernels::multiply_bf16<2, 7, 6>();
    kernels::multiply_bf16<3, 7, 6>();
  });
}

struct Peak {
  double (*run)();  // returns the operations done
  const char* instructions;
};

// Tier ref is measured against avx2.
inline Peak peak_of(Tier tier, Precision precision) {
  const bool wide = tier >= Tier::avx512;
  if (tier == Tier::avx512_amx && precision != Precision::fp32)
    return precision == Precision::int8 ? Peak{tile_int8, "tdpbusd"} : Peak{tile_bf16, "tdpbf16ps"};
  if (precision == Precision::int8) {
    if (tier >= Tier::avx512_vnni) return {dpbusd, "vpdpbusd"};
    return wide ? Peak{maddubs_avx512, "vpmaddubsw+vpmaddwd+vpaddd"} : Peak{maddubs_avx2, "vpmaddubsw+vpmaddwd+vpaddd"};
  }
  if (precision == Precision::bf16 && tier >= Tier::avx512_bf16) return {dpbf16, "vdpbf16ps"};
  return wide ? Peak{fma_avx512, "vfmadd"} : Peak{fma_avx2, "vfmadd"};
}

}  // namespace fathom::bench
