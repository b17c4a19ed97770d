// One linear map packed in any precision: which of a table's functions that is. Sizes in bytes. Thread rule: pure
// functions.
#pragma once

#include "base/precision.h"
#include "kernels/table.h"

namespace fathom::kernels {

inline std::size_t packed_bytes(const Table& table, Precision precision, std::size_t n, std::size_t k) {
  switch (precision) {
    case Precision::bf16:
      return table.packed_size_bf16(n, k);
    case Precision::int8:
      return table.packed_size_int8(n, k);
    case Precision::fp32:
      break;
  }
  return table.packed_size(n, k) * sizeof(float);
}

// w[n, k] row-major to `packed`, 64-byte aligned, packed_bytes() long.
inline void pack_map(const Table& table, Precision precision, const float* w, std::size_t n, std::size_t k,
                     std::byte* packed) {
  switch (precision) {
    case Precision::bf16:
      return table.pack_weights_bf16(w, n, k, packed);
    case Precision::int8:
      return table.pack_weights_int8(w, n, k, packed);
    case Precision::fp32:
      return table.pack_weights(w, n, k, reinterpret_cast<float*>(packed));
  }
}

}  // namespace fathom::kernels
