#include "base/thread_pool.h"

#include <pthread.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#include "base/float_environment.h"

namespace fathom {
namespace {

constexpr auto kSpin = std::chrono::microseconds(50);  // longer than the gap between two GEMMs of one forward pass

void relax() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb");  // waits some ten nanoseconds; `yield` does nothing on most cores
#endif
}

// Until done(), for kSpin at most; whether it is. The length of a pause differs by a factor of ten between CPUs, so the
// clock is asked now and then.
template <class Done>
bool spin_until(const Done& done) {
  constexpr int kPauses = 16;
  std::chrono::steady_clock::time_point end;
  for (bool first = true;; first = false) {
    for (int i = 0; i < kPauses; ++i) {
      if (done()) return true;
      relax();
    }
    const auto now = std::chrono::steady_clock::now();
    if (first)
      end = now + kSpin;
    else if (now >= end)
      return done();
  }
}

// fork() copies one thread: a child counts one more than its parent, and so knows a pool that has lost its workers.
std::atomic<std::uint32_t> forks{0};
std::mutex renewing;  // held across fork()
bool watch_forks() {
  static const bool watched = ::pthread_atfork([] { renewing.lock(); }, [] { renewing.unlock(); },
                                               [] {
                                                 forks.fetch_add(1);
                                                 renewing.unlock();
                                               }) == 0;
  return watched;
}

// One call's work as a single number, so that taking an index and knowing whose it is are one step: how many indices
// there are, and the next one; above them a count of calls. Whoever takes an index below the count holds up the call.
constexpr int kBits = 22;
constexpr std::uint64_t kMost = (std::uint64_t{1} << kBits) - 1;
constexpr std::uint64_t call_of(std::uint64_t work) { return work >> (2 * kBits); }
constexpr std::uint64_t count_of(std::uint64_t work) { return work >> kBits & kMost; }
constexpr std::uint64_t next_of(std::uint64_t work) { return work & kMost; }

}  // namespace

struct ThreadPool::Crew {
  alignas(64) std::atomic<std::uint64_t> work{0};
  alignas(64) std::atomic<int> done{0};        // indices of the current call
  alignas(64) std::atomic<bool> owned{false};  // by the caller whose work this is
  std::atomic<int> parked{0};
  std::atomic<bool> stop{false};
  Body body = nullptr;
  const void* context = nullptr;
  std::mutex mutex;
  std::condition_variable wake;
  std::vector<std::thread> workers;
  const std::uint32_t born = forks.load();

  static Result<std::unique_ptr<Crew>> start(int threads);
  ~Crew() {
    stop.store(true);
    announce(0);
    for (std::thread& worker : workers) worker.join();
  }
  void announce(std::uint64_t count);
  void drain(int worker);
  void live(int worker);
  void run(int count, Body body, const void* context);
};

Result<std::unique_ptr<ThreadPool::Crew>> ThreadPool::Crew::start(int threads) {
  int started = 0;
  std::string why;
  try {
    auto crew = std::make_unique<Crew>();
    if (!watch_forks()) throw std::bad_alloc();
    crew->workers.reserve(static_cast<std::size_t>(threads - 1));
    for (; started + 1 < threads; ++started)
      crew->workers.emplace_back([c = crew.get(), started] { c->live(started + 1); });
    return crew;
  } catch (const std::system_error& problem) {  // those that did start end with the crew
    why = problem.code().message();
  } catch (const std::bad_alloc&) {
    why = "no memory";
  }
  return Error{
      Code::limit,
      "threads: " + std::to_string(started + 1) + " of " + std::to_string(threads) +
          " could be started, the next one not: " + why,
      "ask for fewer (--threads 1 starts none), or raise the limit: ulimit -u, ulimit -v, the container's pids"};
}

// Sleepers see the work either before they sleep or when they are woken: both sides write before they read.
void ThreadPool::Crew::announce(std::uint64_t count) {
  const std::uint64_t call = call_of(work.load(std::memory_order_relaxed)) + 1;
  work.store(call << (2 * kBits) | count << kBits, std::memory_order_seq_cst);
  if (parked.load(std::memory_order_seq_cst) == 0) return;
  { const std::lock_guard lock(mutex); }
  wake.notify_all();
}

void ThreadPool::Crew::drain(int worker) {
  int finished = 0;
  int all = 0;
  for (;;) {
    const std::uint64_t taken = work.fetch_add(1, std::memory_order_acq_rel);
    if (next_of(taken) >= count_of(taken)) break;
    all = static_cast<int>(count_of(taken));
    body(context, static_cast<int>(next_of(taken)), worker);
    ++finished;
  }
  if (finished == 0) return;
  if (done.fetch_add(finished, std::memory_order_acq_rel) + finished == all) done.notify_one();
}

void ThreadPool::Crew::run(int count, Body new_body, const void* new_context) {
  body = new_body;
  context = new_context;
  done.store(0, std::memory_order_relaxed);
  announce(static_cast<std::uint64_t>(count));
  drain(0);
  const auto finished = [&] { return done.load(std::memory_order_acquire) == count; };
  if (!spin_until(finished))  // a worker is not running: its core may need this one's time
    for (int now = done.load(std::memory_order_acquire); now != count; now = done.load(std::memory_order_acquire))
      done.wait(now, std::memory_order_acquire);
}

void ThreadPool::Crew::live(int worker) {
  const FloatEnvironment ours;
  std::uint64_t seen = 0;
  const auto called = [&] {
    return call_of(work.load(std::memory_order_seq_cst)) != seen || stop.load(std::memory_order_seq_cst);
  };
  for (;;) {
    if (!spin_until(called)) {
      std::unique_lock lock(mutex);
      parked.fetch_add(1, std::memory_order_seq_cst);
      wake.wait(lock, called);
      parked.fetch_sub(1, std::memory_order_seq_cst);
    }
    seen = call_of(work.load(std::memory_order_acquire));
    if (stop.load(std::memory_order_acquire)) return;
    drain(worker);
  }
}

Result<std::unique_ptr<ThreadPool>> ThreadPool::create(int threads) {
  FATHOM_CHECK(threads >= 1, "a pool has at least its caller");
  FATHOM_TRY(auto crew, Crew::start(threads));
  return std::unique_ptr<ThreadPool>(new ThreadPool(threads, crew.release()));
}

ThreadPool::ThreadPool(int threads) : threads_(threads) {
  auto crew = Crew::start(threads);
  FATHOM_CHECK(crew.has_value(), "a thread could not be started");
  crew_.store(crew->release());
}

ThreadPool::~ThreadPool() {
  Crew* crew = crew_.load();
  if (crew->born == forks.load()) delete crew;  // a parent's threads are not here to be joined
}

// In a forked child the crew is a copy without threads, perhaps taken in the middle of its work: it is left as it is.
ThreadPool::Crew* ThreadPool::crew_here() {
  Crew* crew = crew_.load(std::memory_order_acquire);
  if (crew->born == forks.load(std::memory_order_relaxed)) return crew;
  const std::lock_guard lock(renewing);
  crew = crew_.load(std::memory_order_acquire);
  if (crew->born == forks.load()) return crew;
  auto fresh = Crew::start(threads_);
  if (!fresh) fresh = Crew::start(1);
  FATHOM_CHECK(fresh.has_value(), "no memory for a pool of one thread");
  crew = fresh->release();
  crew_.store(crew, std::memory_order_release);
  return crew;
}

void ThreadPool::run(int count, Body body, const void* context) {
  if (count > 1 && threads_ > 1 && static_cast<std::uint64_t>(count) <= kMost / 2) {
    Crew& crew = *crew_here();
    if (!crew.workers.empty() && !crew.owned.exchange(true, std::memory_order_acquire)) {
      crew.run(count, body, context);
      crew.owned.store(false, std::memory_order_release);
      return;
    }
  }
  for (int i = 0; i < count; ++i) body(context, i, 0);
}

}  // namespace fathom
