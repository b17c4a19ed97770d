// A fixed pool of workers for one Runtime: spin for a while, then park. The caller is worker 0.
// parallel(n, f) runs f(index) or f(index, worker) for index 0..n-1, each exactly once, on any worker; it returns when
// all are done, and waits for no worker that has not begun. Which worker runs an index never changes a result: kernels
// write disjoint outputs. Worker numbers, 0..threads()-1, are for working space: a caller that gives every worker an
// area of its own may share the pool with others that do the same.
// Spinning is bounded in time, not in turns, on every CPU: kSpin (thread_pool.cpp) after the last work, then sleep.
// After fork() the child's pool has no threads; the first parallel() there starts new ones, or works alone where none
// can be started.
// Workers keep the floating-point setting of base/float_environment.h.
// Thread rule: several sessions may share one pool; a second caller runs its work alone rather than wait. f must not
// call its own pool. Allocates nothing after construction, but once in a forked child.
#pragma once

#include <atomic>
#include <memory>
#include <type_traits>

#include "base/result.h"

namespace fathom {

class ThreadPool {
 public:
  // Errors: limit, a thread that the system does not start; those that did start have ended then.
  static Result<std::unique_ptr<ThreadPool>> create(int threads);
  explicit ThreadPool(int threads);  // for tests and benchmarks: aborts where create() returns an error
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ~ThreadPool();
  int threads() const { return threads_; }

  template <class F>
  void parallel(int count, const F& body) {
    run(
        count,
        [](const void* context, int index, [[maybe_unused]] int worker) {
          const F& call = *static_cast<const F*>(context);
          if constexpr (std::is_invocable_v<const F&, int, int>)
            call(index, worker);
          else
            call(index);
        },
        &body);
  }

 private:
  struct Crew;
  using Body = void (*)(const void*, int, int);
  ThreadPool(int threads, Crew* crew) : threads_(threads), crew_(crew) {}
  void run(int count, Body body, const void* context);
  Crew* crew_here();

  int threads_;
  std::atomic<Crew*> crew_;
};

}  // namespace fathom
