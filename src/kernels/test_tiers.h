// What the tests of kernels share: noise, guards, and a fixture that runs once for every tier of this CPU.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/parallel.h"
#include "tensor/tensor.h"

namespace fathom::kernels::testing {

inline constexpr double kEps = 1.1920929e-7;  // of float
inline constexpr float kGuard = 12345.678f;

class Noise {  // small reproducible generator, uniform in [-1, 1)
 public:
  explicit Noise(std::uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15ull + 1) {}
  float operator()() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return static_cast<float>(state_ >> 40) / 8388608.0f - 1.0f;
  }

 private:
  std::uint64_t state_;
};

inline std::vector<float> noise(std::size_t n, std::uint64_t seed, float scale = 1.0f) {
  Noise next(seed);
  std::vector<float> v(n);
  for (float& x : v) x = next() * scale;
  return v;
}

inline double gelu(double x) { return 0.5 * x * std::erfc(-x / std::sqrt(2.0)); }

class TierTest : public ::testing::TestWithParam<Tier> {
 protected:
  void SetUp() override {
    if (!tier_available(GetParam(), detect_cpu()) || !enable_tier(GetParam()))
      GTEST_SKIP() << tier_name(GetParam()) << " is not available on " << cpu_name();
  }
  const Table& t() const { return table(GetParam()); }
};

inline std::string tier_of(const ::testing::TestParamInfo<Tier>& info) { return tier_name(info.param); }

}  // namespace fathom::kernels::testing
