#include "base/thread_pool.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cfenv>
#include <chrono>
#include <fstream>
#include <thread>
#include <vector>

namespace fathom {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;  // they need all address space
#else
constexpr bool kSanitized = false;
#endif

bool runs_each_once(ThreadPool& pool, int count) {
  std::vector<std::atomic<int>> hits(static_cast<std::size_t>(count));
  pool.parallel(count, [&](int i) { hits[static_cast<std::size_t>(i)].fetch_add(1); });
  for (const auto& hit : hits)
    if (hit.load() != 1) return false;
  return true;
}

// `body` in a child process that an alarm ends; whether it returned true.
template <class Body>
bool in_child(const Body& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(20);
    ::_exit(body() ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

double thread_cpu_seconds() {
  timespec spent{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
  return static_cast<double>(spent.tv_sec) + 1e-9 * static_cast<double>(spent.tv_nsec);
}

TEST(ThreadPool, RunsEachIndexOnce) {
  for (const int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    for (int round = 0; round < 2000; ++round) ASSERT_TRUE(runs_each_once(pool, round % 17));
  }
}

TEST(ThreadPool, SharedBySeveralCallers) {
  ThreadPool pool(2);
  std::atomic<int> sum{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c)
    callers.emplace_back([&] {
      for (int round = 0; round < 500; ++round) pool.parallel(8, [&](int) { sum.fetch_add(1); });
    });
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(sum.load(), 4 * 500 * 8);
}

// A worker's number is its own while the call lasts: areas by number are never written by two at once.
TEST(ThreadPool, WorkersHaveNumbersOfTheirOwn) {
  constexpr int kThreads = 4;
  ThreadPool pool(kThreads);
  std::vector<std::thread> callers;
  std::atomic<bool> wrong{false};
  for (int c = 0; c < 2; ++c)
    callers.emplace_back([&] {
      for (int round = 0; round < 300; ++round) {
        std::vector<std::atomic<int>> inside(kThreads);
        pool.parallel(16, [&](int, int worker) {
          if (worker < 0 || worker >= kThreads || inside[static_cast<std::size_t>(worker)].fetch_add(1) != 0)
            wrong = true;
          inside[static_cast<std::size_t>(worker % kThreads)].fetch_sub(1);
        });
      }
    });
  for (std::thread& caller : callers) caller.join();
  EXPECT_FALSE(wrong);
}

TEST(ThreadPool, AThreadThatCannotStartIsAnError) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer needs all address space";
  for (int round = 0; round < 3; ++round)
    EXPECT_TRUE(in_child([] {
      std::ifstream statm("/proc/self/statm");
      rlim_t pages = 0;
      statm >> pages;
      const rlim_t most = pages * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE)) + (rlim_t{64} << 20);
      const rlimit limit{most, most};
      ::setrlimit(RLIMIT_AS, &limit);
      const auto pool = ThreadPool::create(1000);
      return !pool && pool.error().code == Code::limit && pool.error().message.find("of 1000") != std::string::npos;
    }));
}

TEST(ThreadPool, AForkedChildHasThreadsOfItsOwn) {
  ThreadPool pool(3);
  ASSERT_TRUE(runs_each_once(pool, 50));
  EXPECT_TRUE(in_child([&] {
    for (int round = 0; round < 200; ++round)
      if (!runs_each_once(pool, 50)) return false;
    std::atomic<int> begun{0};  // two indices that wait for each other need two threads
    pool.parallel(2, [&](int) {
      begun.fetch_add(1);
      while (begun.load() < 2) std::this_thread::yield();
    });
    return in_child([&] { return runs_each_once(pool, 50); });  // and a child's child
  }));
  EXPECT_TRUE(in_child([&] { return true; })) << "never used there";
  EXPECT_TRUE(runs_each_once(pool, 50)) << "the parent's go on";
}

// Another thread forks while the pool works: the child's copy is torn, and is not used.
TEST(ThreadPool, AForkInTheMiddleOfWork) {
  ThreadPool pool(3);
  std::atomic<bool> end{false};
  std::thread busy([&] {
    while (!end) runs_each_once(pool, 64);
  });
  for (int round = 0; round < 10; ++round) EXPECT_TRUE(in_child([&] { return runs_each_once(pool, 50); }));
  end = true;
  busy.join();
}

TEST(ThreadPool, AThreadForkedWithoutRoomForThreadsWorksAlone) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer needs all address space";
  ThreadPool pool(3);
  EXPECT_TRUE(in_child([&] {
    const rlimit none{1 << 20, 1 << 20};
    ::setrlimit(RLIMIT_AS, &none);
    return runs_each_once(pool, 10);
  }));
}

TEST(ThreadPool, WaitingCostsNoTime) {
  ThreadPool pool(2);
  double spent = 0;
  std::atomic<bool> sleeping{false};
  pool.parallel(2, [&](int, int worker) {
    if (worker != 0) {
      sleeping = true;
      std::this_thread::sleep_for(std::chrono::milliseconds(300));
      return;
    }
    while (!sleeping) std::this_thread::yield();
    spent = thread_cpu_seconds();
  });
  EXPECT_LT(thread_cpu_seconds() - spent, 0.1) << "the caller turned round while a worker slept";
  rusage before{}, after{};
  ::getrusage(RUSAGE_SELF, &before);
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  ::getrusage(RUSAGE_SELF, &after);
  const auto seconds = [](const rusage& r) {
    return static_cast<double>(r.ru_utime.tv_sec) + 1e-6 * static_cast<double>(r.ru_utime.tv_usec);
  };
  EXPECT_LT(seconds(after) - seconds(before), 0.05) << "workers turn round without work";
}

TEST(ThreadPool, WorkersDoNotRoundAsTheirMakerDoes) {
  volatile float one = 1.0f, three = 3.0f;
  const float right = one / three;
  std::fesetround(FE_DOWNWARD);
  {
    ThreadPool pool(2);
    float theirs = 0;
    std::atomic<bool> begun{false};
    pool.parallel(2, [&](int, int worker) {
      if (worker != 0) {
        theirs = one / three;
        begun = true;
      }
      while (!begun) std::this_thread::yield();
    });
    EXPECT_EQ(theirs, right);
  }
  std::fesetround(FE_TONEAREST);
}

}  // namespace
}  // namespace fathom
