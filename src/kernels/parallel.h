// Kernels spread over a ThreadPool: where to cut, and when cutting does not pay.
// Every cut is along rows, panels or pairs, which the contract of table.h makes invisible in the result: outputs are
// bit-equal for any number of threads. Allocates nothing. Tiny work runs on the calling thread alone.
// Thread rule: callable from any thread; several callers may share one pool.
#pragma once

#include <cstddef>

#include "base/thread_pool.h"
#include "kernels/table.h"

namespace fathom::kernels {

// Pairs [pair_begin, pair_end) of args; args.scratch holds pool.threads() areas of `scratch_stride` floats each,
// scratch_stride >= table.attention_scratch(longest sequence, dim, linear).
struct Mixing {
  AttentionArgs args;
  std::size_t scratch_stride = 0;
};
void attention(const Table& table, ThreadPool& pool, const Mixing& mixing);

// c for all rows and the columns [n_begin, n_end); n_end = 0 means n. With `mixing`, c is what it reads as qkv, and all
// pairs of the sequences in it follow. A thread that computes columns then takes those of its own heads: they need not
// leave its core, nor wait for another thread's. Not where mixing's out is a, which others may still read.
// args.scratch holds pool.threads() areas of table.gemm_scratch floats.
void gemm(const Table& table, ThreadPool& pool, GemmArgs args, const Mixing* mixing = nullptr);
void gemm_bf16(const Table& table, ThreadPool& pool, GemmArgs args, const Mixing* mixing = nullptr);
void gemm_int8(const Table& table, ThreadPool& pool, Int8GemmArgs args, const Mixing* mixing = nullptr);

// Floats of scratch that attention() needs for a pool: threads * stride, stride rounded to whole cache lines.
std::size_t attention_scratch_stride(const Table& table, std::size_t longest, std::size_t dim, bool linear);

// The same row-wise kernels, rows split over the pool. Rows are quantized once, before the gemm_int8 calls that read
// them.
void quantize_rows(const Table& table, ThreadPool& pool, const float* x, std::size_t ldx, std::size_t rows,
                   std::size_t k, std::uint8_t* q, std::size_t ldq, float* scale, std::int32_t* zero);
void layernorm(const Table& table, ThreadPool& pool, const float* x, std::size_t ldx, std::size_t rows, std::size_t n,
               const float* gamma, const float* beta, float eps, float* y, std::size_t ldy);
void layernorm_quantize(const Table& table, ThreadPool& pool, const float* x, std::size_t ldx, std::size_t rows,
                        std::size_t n, const float* gamma, const float* beta, float eps, float* y, std::size_t ldy,
                        std::uint8_t* q, std::size_t ldq, float* scale, std::int32_t* zero);

}  // namespace fathom::kernels
