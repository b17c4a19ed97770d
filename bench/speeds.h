// How fast this machine computes and reads right now, by the threads of a pool: the two limits that a row is held
// against. Operations a second count a multiply and an add as two; reading is of every cache line, prefetched, in
// rising order. x86-64 alone, as peaks.h. Thread rule: the pool's.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/thread_pool.h"
#include "peaks.h"

namespace fathom::bench {

inline double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

inline double median(std::vector<double> v) {
  std::nth_element(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2), v.end());
  return v[v.size() / 2];
}

using Seconds = double (*)();  // a clock

// Operations a second of all threads together, each doing `calls` loops of `peak`.
inline double peak_speed(ThreadPool& pool, const Peak& peak, int calls, Seconds now = seconds_now) {
  double operations = 0;
  const double start = now();
  pool.parallel(pool.threads(), [&](int index) {
    double done = 0;
    for (int call = 0; call < calls; ++call) done += peak.run();
    if (index == 0) operations = done * pool.threads();
  });
  return operations / (now() - start);
}

inline void read_lines(const std::uint64_t* from, std::size_t words) {
  std::uint64_t sums[4] = {};
  for (std::size_t i = 0; i + 32 <= words; i += 32)
    for (std::size_t j = 0; j < 4; ++j) {
      _mm_prefetch(reinterpret_cast<const char*>(from + i + 8 * j + 512), _MM_HINT_T0);
      sums[j] += from[i + 8 * j];
    }
  __asm__ volatile("" : : "r"(sums[0] + sums[1] + sums[2] + sums[3]));
}

// Seconds to read `bytes` once, each thread its share.
inline double read_seconds(ThreadPool& pool, const void* memory, std::size_t bytes, Seconds now = seconds_now) {
  const double start = now();
  const std::size_t threads = static_cast<std::size_t>(pool.threads()), share = bytes / 8 / threads;
  const auto* words = static_cast<const std::uint64_t*>(memory);
  pool.parallel(pool.threads(), [&](int index) { read_lines(words + share * static_cast<std::size_t>(index), share); });
  return now() - start;
}

}  // namespace fathom::bench
