#include "base/thread_pool.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace fathom {
namespace {

constexpr int kSpins = 4000;  // about 50 us: longer than the gap between two GEMMs of one forward pass

void relax() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { work(); });
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard lock(mutex_);
    stop_.store(true);
    generation_.fetch_add(1);
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::drain() {
  const int count = count_.load(std::memory_order_relaxed);
  for (int i = next_.fetch_add(1); i < count; i = next_.fetch_add(1)) body_(context_, i);
}

void ThreadPool::run(int count, Body body, const void* context) {
  if (count <= 1 || workers_.empty() || !owner_.try_lock()) {
    for (int i = 0; i < count; ++i) body(context, i);
    return;
  }
  body_ = body;
  context_ = context;
  count_.store(count, std::memory_order_relaxed);
  next_.store(0, std::memory_order_relaxed);
  busy_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_seq_cst);
  if (parked_.load(std::memory_order_seq_cst) > 0) {
    { std::lock_guard lock(mutex_); }
    wake_.notify_all();
  }
  drain();
  while (busy_.load(std::memory_order_acquire) != 0) relax();
  owner_.unlock();
}

void ThreadPool::work() {
  std::uint64_t seen = 0;
  for (;;) {
    for (int spin = 0; spin < kSpins && generation_.load(std::memory_order_acquire) == seen; ++spin) relax();
    if (generation_.load(std::memory_order_acquire) == seen) {
      std::unique_lock lock(mutex_);
      parked_.fetch_add(1, std::memory_order_seq_cst);
      wake_.wait(lock, [&] { return generation_.load(std::memory_order_seq_cst) != seen; });
      parked_.fetch_sub(1, std::memory_order_seq_cst);
    }
    seen = generation_.load(std::memory_order_acquire);
    if (stop_.load(std::memory_order_acquire)) return;
    drain();
    busy_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace fathom
