// A fixed pool of workers for one Runtime: spin for a while, then park. The caller is worker 0.
// parallel(n, f) runs f(0..n-1), each index exactly once, on any worker; it returns when all are done.
// Which worker runs an index never changes a result: kernels write disjoint outputs.
// Thread rule: several sessions may share one pool; a second caller runs its work alone rather than wait.
// Allocates nothing after construction.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace fathom {

class ThreadPool {
 public:
  explicit ThreadPool(int threads);
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ~ThreadPool();
  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  template <class F>
  void parallel(int count, const F& body) {
    run(
        count, [](const void* context, int index) { (*static_cast<const F*>(context))(index); }, &body);
  }

 private:
  using Body = void (*)(const void*, int);
  void run(int count, Body body, const void* context);
  void drain();
  void work();

  std::vector<std::thread> workers_;
  std::mutex owner_;  // held by the session whose work the pool is doing
  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<std::uint64_t> generation_{0};
  std::atomic<int> parked_{0};
  std::atomic<int> busy_{0};
  std::atomic<int> next_{0};
  std::atomic<int> count_{0};
  Body body_ = nullptr;
  const void* context_ = nullptr;
  std::atomic<bool> stop_{false};
};

}  // namespace fathom
