#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <numeric>

namespace fathom {

TEST(ThreadPool, RunsEachIndexOnce) {
  for (const int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    for (int round = 0; round < 2000; ++round) {
      std::vector<std::atomic<int>> hits(static_cast<std::size_t>(round % 17));
      pool.parallel(round % 17, [&](int i) { hits[static_cast<std::size_t>(i)].fetch_add(1); });
      for (const auto& hit : hits) ASSERT_EQ(hit.load(), 1);
    }
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

}  // namespace fathom
