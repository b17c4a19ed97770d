// The tile registers of AMX: up to 16 rows of 64 bytes each. Roles are fixed, so that one configuration serves every
// unit of a GEMM: 0 to 5 sums (0 to 3 for two tiles of rows), 4 and 5 or 7 activations, 6 weights. Assembler
// throughout: compilers' intrinsics differ in what they tell of memory and of order, and multiplying must stay where it
// is among loads. What is written before it is loaded as a tile needs order_stores().
#pragma once

#include <cstddef>
#include <cstdint>

namespace fathom::kernels {
namespace {

constexpr std::size_t kTileBytes = 64;  // of a row: 16 words
constexpr std::size_t kTileMost = 16;   // rows

struct alignas(64) TileShapes {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};
};

inline void shape_tiles(std::size_t height) {  // of activations and sums
  TileShapes shapes;
  for (int i = 0; i < 8; ++i) {
    shapes.row_bytes[i] = kTileBytes;
    shapes.rows[i] = static_cast<std::uint8_t>(i == 6 ? kTileMost : height);
  }
  __asm__ volatile("ldtilecfg %0"
                   :
                   : "m"(shapes));  // all 64 bytes: g++ 12's intrinsic tells of 8, and the other stores are left out
}

inline void order_stores() { __asm__ volatile("" : : : "memory"); }

template <int kTile>
inline void zero_tile() {
  __asm__ volatile("tilezero %%tmm%c0" : : "i"(kTile));
}
template <int kTile>
inline void load_tile(const void* from, std::size_t stride) {
  __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride), "i"(kTile));
}
template <int kTile>
inline void store_tile(void* to, std::size_t stride) {
  __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(stride), "i"(kTile) : "memory");
}
// Sums of a tile of activations times one of weights, added to what is there. A tile of weights has a row for each word
// of k.
template <int kSum, int kRows, int kWeights>
inline void multiply_int8() {  // unsigned by signed, four to a word, exact
  __asm__ volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSum), "i"(kRows), "i"(kWeights));
}
// Two to a word: two chains, of even and of odd k, whose sum is added. Rounded to nearest even, denormals taken for 0.
template <int kSum, int kRows, int kWeights>
inline void multiply_bf16() {
  __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSum), "i"(kRows), "i"(kWeights));
}
inline void release_tiles() { __asm__ volatile("tilerelease" : : : "memory"); }

}  // namespace
}  // namespace fathom::kernels
