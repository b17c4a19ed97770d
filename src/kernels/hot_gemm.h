// How fast the GEMM of one tier and precision runs where nothing waits for memory: one matrix of 64 x 256 x 256 held in
// cache, every thread of the pool at once. What a model's own rate is compared with. Thread rule: one call at a time.
#pragma once

#include "base/precision.h"
#include "base/thread_pool.h"
#include "kernels/table.h"

namespace fathom::kernels {

double hot_gemm(const Table& table, ThreadPool& pool,
                Precision precision);  // 1e9 multiply-accumulates a second, median of nine

}  // namespace fathom::kernels
