#include "base/float_environment.h"

#include <gtest/gtest.h>

#include <cfenv>
#include <cstdlib>
#include <limits>

namespace fathom {
namespace {

// What this thread makes of two sums and a denormal, computed where the compiler cannot.
struct Made {
  float third, denormal;
  bool operator==(const Made&) const = default;
};
Made make() {
  volatile float one = 1.0f, three = 3.0f, least = std::numeric_limits<float>::min();
  return {one / three, least / 4.0f};
}

TEST(FloatEnvironment, IsTheEnginesInsideAndTheHostsAfterwards) {
  const FloatEnvironment ours;
  const Made right = make();
  EXPECT_GT(right.denormal, 0.0f);
  ASSERT_EQ(std::fesetround(FE_DOWNWARD), 0);
  const Made downward = make();
  EXPECT_NE(downward, right) << "the test cannot tell";
  std::feraiseexcept(FE_DIVBYZERO);
  {
    const FloatEnvironment inner;
    EXPECT_EQ(make(), right);
    EXPECT_FALSE(std::fetestexcept(FE_DIVBYZERO));
  }
  EXPECT_EQ(make(), downward);
  EXPECT_TRUE(std::fetestexcept(FE_DIVBYZERO)) << "the host's flags are its own";
  std::feclearexcept(FE_ALL_EXCEPT);
  std::fesetround(FE_TONEAREST);
}

TEST(FloatEnvironment, NumbersAreReadAndPrintedAsEver) {
  const FloatEnvironment ours;
  const auto read = [] { return std::strtod("0.1", nullptr); };
  const double right = read();
  std::fesetround(FE_DOWNWARD);
  EXPECT_NE(read(), right) << "the test cannot tell";
  {
    const FloatEnvironment inner;
    EXPECT_EQ(read(), right);
    EXPECT_EQ(std::fegetround(), FE_TONEAREST);
  }
  EXPECT_EQ(std::fegetround(), FE_DOWNWARD);
  std::fesetround(FE_TONEAREST);
}

#if defined(__x86_64__)
TEST(FloatEnvironment, KeepsDenormalsWhereTheHostFlushesThem) {
  const unsigned before = _mm_getcsr();
  _mm_setcsr(before | 0x8040);  // flush to zero, denormals are zero
  EXPECT_EQ(make().denormal, 0.0f) << "the test cannot tell";
  {
    const FloatEnvironment inner;
    EXPECT_GT(make().denormal, 0.0f);
  }
  EXPECT_EQ(_mm_getcsr() & 0x8040u, 0x8040u);
  _mm_setcsr(before);
}
#endif

}  // namespace
}  // namespace fathom
