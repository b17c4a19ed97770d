// The engine on a thread of somebody else's: its floating-point setting changes no bit and is found again, and its
// stack may be small.
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/mman.h>

#include <cfenv>
#include <functional>

#include "base/file.h"
#include "engine/stream.h"
#include "engine/test_requests.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace fathom::engine {
namespace {

using testing::Case;
using testing::Inputs;
using testing::Loaded;

void set_rounding(bool strange) {
  std::fesetround(strange ? FE_DOWNWARD : FE_TONEAREST);
#if defined(__x86_64__)
  const unsigned flush = 0x8040;
  _mm_setcsr(strange ? _mm_getcsr() | flush : _mm_getcsr() & ~flush);
#endif
}

struct Bits {
  std::vector<float> logits, trace, hidden;
  bool operator==(const Bits&) const = default;
};

// Compiled and run on a thread that rounds as ours do, or (`strange`) as a host's may; then weights are packed there,
// too.
Bits bits_of(const Case& which, const std::string& tier, int threads, bool strange = false) {
  { const Loaded written(which, tier, 1); }
  const auto folder = testing::folder_for(which.name + "_" + precision_name(which.precision));
  for (const auto& entry : fs::directory_iterator(folder))
    if (strange && entry.path().filename().string().starts_with("packed")) fs::remove(entry.path());
  const auto model = testing::load_model(folder);
  const Inputs inputs = testing::random_inputs(which.spec, 12, 31);
  std::vector<Prediction> predictions(inputs.count);
  Bits bits;
  if (strange) set_rounding(true);
  {
    const auto runtime = testing::must(Runtime::create({tier, threads}));
    const auto plan = testing::must(Plan::compile(model, *runtime));
    Session session = testing::must(Session::create(plan, *runtime, {32, 0}));
    testing::must(session.run(inputs.batch(), {}, predictions));
    bits.logits = testing::copy(session.logits());
    RunOptions trace;
    trace.mode = Mode::trace;
    testing::must(session.run(inputs.batch(), trace, predictions));
    bits.trace = testing::copy(session.trace_logits());
    testing::must(session.run_backbone(inputs.batch()));
    bits.hidden = testing::copy(session.hidden());
  }
  if (strange) {
    EXPECT_EQ(std::fegetround(), FE_DOWNWARD) << "the host finds its own setting again";
    set_rounding(false);
  }
  return bits;
}

TEST(Host, ItsRoundingChangesNoBit) {
  for (Case which : testing::all_cases())
    for (const Precision precision : {Precision::fp32, Precision::bf16, Precision::int8}) {
      which.precision = precision;
      for (const std::string& tier : testing::tiers_here()) {
        if (tier == "ref" && which.name != "text_post") continue;
        EXPECT_TRUE(bits_of(which, tier, 2, true) == bits_of(which, tier, 2))
            << which.name << " " << tier << " " << precision_name(precision);
      }
    }
}

TEST(Host, ItsRoundingChangesNoBitOfAStream) {
  const Case which = testing::all_cases()[0];
  Loaded loaded(which, "", 2);
  const Inputs inputs = testing::random_inputs(which.spec, 8, 32);
  const auto answers = [&] {
    auto stream = testing::must(Stream::create(loaded.plan, *loaded.runtime, {8, 0}));
    std::vector<Finished> out(8);
    EXPECT_TRUE(stream.submit(inputs.batch()));
    EXPECT_EQ(stream.finish(out), 8u);
    std::vector<Prediction> byticket(8);
    for (const Finished& one : out) byticket[one.ticket] = one.prediction;
    return byticket;
  };
  const auto right = answers();
  set_rounding(true);
  const auto got = answers();
  set_rounding(false);
  for (std::size_t i = 0; i < right.size(); ++i) EXPECT_TRUE(testing::same(got[i], right[i])) << i;
}

// `body` on a thread whose stack has 128 KB, and nothing that could be overrun unnoticed around it.
void on_small_stack(const std::function<void()>& body) {
  constexpr std::size_t kStack = 128 * 1024, kAround = 8 << 20;
  void* all = ::mmap(nullptr, kStack + 2 * kAround, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(all, MAP_FAILED);
  char* stack = static_cast<char*>(all) + kAround;
  ASSERT_EQ(::mprotect(stack, kStack, PROT_READ | PROT_WRITE), 0);
  pthread_attr_t attributes;
  ::pthread_attr_init(&attributes);
  ASSERT_EQ(::pthread_attr_setstack(&attributes, stack, kStack), 0);
  pthread_t thread;
  const auto run = [](void* given) -> void* {
    (*static_cast<const std::function<void()>*>(given))();
    return nullptr;
  };
  ASSERT_EQ(::pthread_create(&thread, &attributes, run, const_cast<std::function<void()>*>(&body)), 0);
  ::pthread_join(thread, nullptr);
  ::munmap(all, kStack + 2 * kAround);
}

TEST(Host, AStackOf128KBIsEnough) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers make frames larger";
#endif
  for (Case which : testing::all_cases())
    for (const Precision precision : {Precision::fp32, Precision::bf16, Precision::int8})
      for (const std::string& tier : testing::tiers_here()) {
        if (tier == "ref" && which.name != "text_post") continue;
        which.precision = precision;
        const Bits right = bits_of(which, tier, 1);
        Bits got;
        on_small_stack([&] { got = bits_of(which, tier, 1); });
        EXPECT_TRUE(got == right) << which.name << " " << tier;
      }
}

}  // namespace
}  // namespace fathom::engine
