#include "kernels/avx512/vec_avx512.h"
#include "kernels/math.inc"
#include "kernels/elementwise.inc"
#include "kernels/tiers.h"

namespace fathom::kernels::avx512 {

void layernorm(const float* x, std::size_t ldx, std::size_t rows, std::size_t n, const float* gamma, const float* beta,
               float eps, float* y, std::size_t ldy) noexcept {
  for (std::size_t r = 0; r < rows; ++r) layernorm_row(x + r * ldx, n, gamma, beta, eps, y + r * ldy, [](Vec) {});
}

void embed(const float* word, const float* position, const float* type, const std::int32_t* ids,
           const std::int32_t* positions, const std::int32_t* types, std::size_t tokens, std::size_t n, float* y) noexcept {
  for (std::size_t t = 0; t < tokens; ++t)
    embed_row(word + static_cast<std::size_t>(ids[t]) * n, position + static_cast<std::size_t>(positions[t]) * n,
              type && types ? type + static_cast<std::size_t>(types[t]) * n : type, n, y + t * n);
}

void mean_rows(const float* x, std::size_t ldx, std::size_t rows, std::size_t n, float* y) noexcept {
  mean_rows_all(x, ldx, rows, n, y);
}

void softmax(const float* x, std::size_t n, float temperature, float* y) noexcept { softmax_row(x, n, temperature, y); }

void lstm_cell(const float* gates, std::size_t n, float* cell, float* hidden) noexcept { lstm(gates, n, cell, hidden); }

}  // namespace fathom::kernels::avx512
