// The kernels of each tier under their plain names; table.cpp is the only reader. Lean: tier sources include it.
// Contract of each function: kernels/table.h.
#pragma once

#include "kernels/args.h"

namespace fathom::kernels {

namespace ref {
inline constexpr std::size_t kPanel = 16;
void gemm(const GemmArgs& args) noexcept;
std::size_t attention_scratch(std::size_t longest, std::size_t dim) noexcept;
void attention(const AttentionArgs& args) noexcept;
void layernorm(const float* x, std::size_t ldx, std::size_t rows, std::size_t n, const float* gamma, const float* beta,
               float eps, float* y, std::size_t ldy) noexcept;
void embed(const float* word, const float* position, const float* type, const std::int32_t* ids,
           const std::int32_t* positions, std::size_t tokens, std::size_t n, float* y) noexcept;
void mean_rows(const float* x, std::size_t ldx, std::size_t rows, std::size_t n, float* y) noexcept;
void softmax(const float* x, std::size_t n, float temperature, float* y) noexcept;
void lstm_cell(const float* gates, std::size_t n, float* cell, float* hidden) noexcept;
}  // namespace ref

namespace avx2 {
inline constexpr std::size_t kPanel = 16;
void gemm(const GemmArgs& args) noexcept;
std::size_t attention_scratch(std::size_t longest, std::size_t dim) noexcept;
void attention(const AttentionArgs& args) noexcept;
void layernorm(const float* x, std::size_t ldx, std::size_t rows, std::size_t n, const float* gamma, const float* beta,
               float eps, float* y, std::size_t ldy) noexcept;
void embed(const float* word, const float* position, const float* type, const std::int32_t* ids,
           const std::int32_t* positions, std::size_t tokens, std::size_t n, float* y) noexcept;
void mean_rows(const float* x, std::size_t ldx, std::size_t rows, std::size_t n, float* y) noexcept;
void softmax(const float* x, std::size_t n, float temperature, float* y) noexcept;
void lstm_cell(const float* gates, std::size_t n, float* cell, float* hidden) noexcept;
}  // namespace avx2

namespace avx512 {
inline constexpr std::size_t kPanel = 32;
void gemm(const GemmArgs& args) noexcept;
std::size_t attention_scratch(std::size_t longest, std::size_t dim) noexcept;
void attention(const AttentionArgs& args) noexcept;
void layernorm(const float* x, std::size_t ldx, std::size_t rows, std::size_t n, const float* gamma, const float* beta,
               float eps, float* y, std::size_t ldy) noexcept;
void embed(const float* word, const float* position, const float* type, const std::int32_t* ids,
           const std::int32_t* positions, std::size_t tokens, std::size_t n, float* y) noexcept;
void mean_rows(const float* x, std::size_t ldx, std::size_t rows, std::size_t n, float* y) noexcept;
void softmax(const float* x, std::size_t n, float temperature, float* y) noexcept;
void lstm_cell(const float* gates, std::size_t n, float* cell, float* hidden) noexcept;
}  // namespace avx512

}  // namespace fathom::kernels
