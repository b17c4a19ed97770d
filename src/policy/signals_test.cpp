#include "policy/signals.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace fathom::policy {
namespace {

using Floats = std::vector<float>;

TEST(Signals, ByHand) {
  const Floats p = {0.7f, 0.2f, 0.1f}, previous = {0.2f, 0.5f, 0.3f};
  const Signals s = signals_of(p, previous, 3, 12);
  EXPECT_NEAR(s.confidence_logit, std::log(0.7 / 0.3), 1e-6);
  EXPECT_NEAR(s.margin, 0.5, 1e-6);
  EXPECT_NEAR(s.entropy, -(0.7 * std::log(0.7) + 0.2 * std::log(0.2) + 0.1 * std::log(0.1)) / std::log(3.0), 1e-6);
  EXPECT_EQ(s.agrees, 0.0f);
  EXPECT_NEAR(s.divergence, 0.7 * std::log(0.7 / 0.2) + 0.2 * std::log(0.2 / 0.5) + 0.1 * std::log(0.1 / 0.3), 1e-6);
  EXPECT_EQ(s.depth, 0.25f);
  EXPECT_EQ(s.values()[0], s.confidence_logit);
  EXPECT_EQ(s.values()[5], s.depth);
}

TEST(Signals, FirstExitHasNoPast) {
  const Signals s = signals_of(Floats{0.5f, 0.5f}, {}, 1, 2);
  EXPECT_EQ(s.confidence_logit, 0.0f);
  EXPECT_EQ(s.margin, 0.0f);
  EXPECT_EQ(s.entropy, 1.0f);
  EXPECT_EQ(s.agrees, 0.0f);
  EXPECT_EQ(s.divergence, 0.0f);
}

TEST(Signals, CertaintyIsClamped) {
  const Signals s = signals_of(Floats{0.0f, 1.0f}, Floats{1.0f, 0.0f}, 2, 2);
  EXPECT_EQ(s.confidence_logit, 10.0f);
  EXPECT_EQ(s.margin, 1.0f);
  EXPECT_EQ(s.entropy, 0.0f);
  EXPECT_EQ(s.divergence, 10.0f);
  EXPECT_EQ(s.depth, 1.0f);
  const Signals same = signals_of(Floats{0.3f, 0.7f}, Floats{0.3f, 0.7f}, 2, 2);
  EXPECT_EQ(same.agrees, 1.0f);
  EXPECT_EQ(same.divergence, 0.0f);
}

TEST(Signals, ArgmaxTakesTheFirstOfEquals) {
  EXPECT_EQ(argmax(Floats{1, 3, 3}), 1);
  EXPECT_EQ(argmax(Floats{2}), 0);
  EXPECT_EQ(argmax(Floats{-2, -1}), 1);
}

}  // namespace
}  // namespace fathom::policy
