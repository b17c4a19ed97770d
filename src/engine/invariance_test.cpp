// Results never depend on neighbours or threads, and running allocates nothing.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <new>

#include "engine/test_requests.h"

namespace fathom::engine::testing {
std::atomic<long> allocations{0};
}

namespace {
void* counted(std::size_t bytes, std::size_t align) {
  ++fathom::engine::testing::allocations;
  void* p = align > alignof(std::max_align_t) ? std::aligned_alloc(align, (bytes + align - 1) / align * align)
                                              : std::malloc(bytes == 0 ? 1 : bytes);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}
}  // namespace

void* operator new(std::size_t bytes) { return counted(bytes, 0); }
void* operator new[](std::size_t bytes) { return counted(bytes, 0); }
void* operator new(std::size_t bytes, std::align_val_t align) {
  return counted(bytes, static_cast<std::size_t>(align));
}
void* operator new[](std::size_t bytes, std::align_val_t align) {
  return counted(bytes, static_cast<std::size_t>(align));
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }

namespace fathom::engine {
namespace {

using testing::all_requests;
using testing::allocations;
using testing::Case;
using testing::cases_with_gates;
using testing::Inputs;
using testing::Loaded;
using testing::random_masks;
using testing::Request;
using testing::same;

TEST(Invariance, BatchOf32IsBitEqualToSingleRuns) {
  for (const std::string& tier : testing::tiers_here())
    for (const Case& which : cases_with_gates(tier)) {
      Loaded loaded(which, tier, 1);
      const Inputs inputs = testing::random_inputs(which.spec, 32, 21);
      const auto masks = random_masks(which.spec, inputs.count);
      for (const Request& request : all_requests(which.spec, masks)) {
        const auto together = loaded.run(inputs.batch(), request.options);
        const std::vector<float> logits = testing::copy(loaded.session->logits());
        for (std::size_t i = 0; i < inputs.count; ++i) {
          std::vector<std::int32_t> ends;
          RunOptions alone = request.options;
          if (!alone.masks.empty()) alone.masks = alone.masks.subspan(i, 1);
          const auto single = loaded.run(inputs.one(i, ends), alone);
          ASSERT_TRUE(same(single[0], together[i]))
              << tier << " " << which.name << " " << precision_name(which.precision) << " " << request.name << " input "
              << i;
          ASSERT_EQ(std::memcmp(loaded.session->logits().data(), logits.data() + i * 3, 3 * sizeof(float)), 0);
        }
      }
    }
}

TEST(Invariance, ThreadsNeverShow) {
  for (const std::string& tier : testing::tiers_here())
    for (const Case& which : cases_with_gates(tier)) {
      const Inputs inputs = testing::random_inputs(which.spec, 32, 22);
      const auto masks = random_masks(which.spec, inputs.count);
      Loaded one(which, tier, 1);
      for (const int threads : {2, 3}) {
        Loaded many(which, tier, threads);
        for (const Request& request : all_requests(which.spec, masks)) {
          for (const std::size_t count : {std::size_t{2}, std::size_t{32}}) {
            Batch batch = inputs.batch();
            batch.count = count;
            const auto expected = one.run(batch, request.options);
            const auto got = many.run(batch, request.options);
            for (std::size_t i = 0; i < count; ++i)
              ASSERT_TRUE(same(got[i], expected[i]))
                  << tier << " " << which.name << " " << precision_name(which.precision) << " " << request.name << " "
                  << threads;
            const auto a = one.session->logits(), b = many.session->logits();
            ASSERT_EQ(std::memcmp(a.data(), b.data(), a.size_bytes()), 0);
            const auto ta = one.session->trace_scores(policy::Score::fused),
                       tb = many.session->trace_scores(policy::Score::fused);
            ASSERT_EQ(ta.size(), tb.size());
            if (!ta.empty()) {
              ASSERT_EQ(std::memcmp(ta.data(), tb.data(), ta.size_bytes()), 0);
            }
          }
        }
      }
    }
}

TEST(Invariance, RunningAllocatesNothing) {
  for (const std::string& tier : testing::tiers_here())
    for (const Case& which : cases_with_gates(tier))
      for (const int threads : {1, 2}) {
        Loaded loaded(which, tier, threads);
        const Inputs inputs = testing::random_inputs(which.spec, 32, 23);
        const auto masks = random_masks(which.spec, inputs.count);
        std::vector<Prediction> predictions(inputs.count);
        for (const Request& request : all_requests(which.spec, masks)) {
          const long before = allocations;
          const Status status = loaded.session->run(inputs.batch(), request.options, predictions);
          const long after = allocations;
          ASSERT_TRUE(status);
          ASSERT_EQ(after - before, 0) << tier << " " << which.name << " " << precision_name(which.precision) << " "
                                       << request.name;
        }
        const long before = allocations;
        const Status status = loaded.session->run_backbone(inputs.batch());
        ASSERT_EQ(allocations - before, 0);
        ASSERT_TRUE(status);
      }
  const long before = allocations;
  EXPECT_EQ(std::string(100, 'x').size(), 100u);
  EXPECT_GT(allocations, before);  // the counter counts
}

}  // namespace
}  // namespace fathom::engine
