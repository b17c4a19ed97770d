#include "model/ledger.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace fathom {
namespace {

TEST(Ledger, PapersEncoderAtItsTokenCounts) {
  const ModelSpec spec;  // 12 x 768
  const auto encoder = [&](int tokens) { return 12 * ledger_for(spec, tokens).layer; };
  EXPECT_NEAR(encoder(49), 4.206e9, 0.0005e9);
  EXPECT_NEAR(encoder(18), 1.535e9, 0.0005e9);
  EXPECT_NEAR(encoder(33), 2.823e9, 0.0005e9);
  EXPECT_NEAR(encoder(120), 10.46e9, 0.005e9);
  // By hand: 49 * (4 * 768^2 + 2 * 768 * 3072) + 2 * 49^2 * 768
  EXPECT_EQ(ledger_for(spec, 49).layer, 49.0 * 7077888 + 2 * 2401.0 * 768);
}

TEST(Ledger, WindowCountsExactlyThePairsSeen) {
  ModelSpec spec;
  spec.hidden = 1, spec.heads = 1, spec.ffn = 1;
  for (int tokens : {1, 2, 5, 33}) {
    for (int window : {0, 1, 2, 4, 32, 33, 100}) {
      spec.attention_window = window;
      int pairs = 0;
      for (int i = 0; i < tokens; ++i)
        for (int j = 0; j < tokens; ++j) pairs += window == 0 || std::abs(i - j) <= window;
      EXPECT_EQ(ledger_for(spec, tokens).layer, 6.0 * tokens + 2.0 * pairs) << tokens << " " << window;
    }
  }
}

TEST(Ledger, TextPartsByHand) {
  ModelSpec spec;
  spec.layers = 3, spec.hidden = 8, spec.heads = 2, spec.ffn = 16, spec.label_names = {"a", "b", "c"};
  spec.extractor = {4, 2, 3, 5};
  spec.policy_hidden = 6, spec.exit_head_hidden = 10, spec.task_head_hidden = 0;
  const Ledger ledger = ledger_for(spec, 5);
  EXPECT_EQ(ledger.embed, 0);
  EXPECT_EQ(ledger.layer, 5 * (4 * 64 + 2 * 8 * 16) + 2 * 25 * 8);
  EXPECT_EQ(ledger.extractor, 5 * 8 * 4 + 5 * (2 * 4 * 3) + 5 * (3 * 2 * 3));
  EXPECT_EQ(ledger.policy_init, 6 * (2 * 3 + 1));
  EXPECT_EQ(ledger.policy_step, 4 * 6 * (7 + 6) + 2 * 6);
  EXPECT_EQ(ledger.exit_head, 16 * 10 + 10 * 3);
  EXPECT_EQ(ledger.task_head, 16 * 3);
  EXPECT_EQ(full_depth_macs(spec, 5), 3 * ledger.layer + 16 * 3);
  spec.pooling = Pooling::cls;
  EXPECT_EQ(ledger_for(spec, 5).task_head, 8 * 3);
}

TEST(Ledger, ImagePartsByHand) {
  ModelSpec spec;
  spec.modality = Modality::image;
  spec.image_height = 12, spec.image_width = 20, spec.patch = 4;  // 3 x 5 patches, 16 tokens; pooled 2 x 3
  spec.layers = 2, spec.hidden = 8, spec.heads = 2, spec.ffn = 16, spec.label_names = {"a", "b"};
  spec.extractor = {4, 2, 3, 5};
  const Ledger ledger = ledger_for(spec, spec.tokens());
  EXPECT_EQ(spec.tokens(), 16);
  EXPECT_EQ(ledger.embed, 15 * 48 * 8);
  EXPECT_EQ(ledger.extractor, 15 * 8 * 4 + 15 * (2 * 4 * 9) + 6 * (3 * 2 * 9));
  EXPECT_EQ(full_depth_macs(spec, 16), ledger.embed + 2 * ledger.layer + ledger.task_head);
  spec.image_height = 4;  // one row: 1 x 3 kernels, 1 x 5 pooled to 1 x 3
  EXPECT_EQ(ledger_for(spec, spec.tokens()).extractor, 5 * 8 * 4 + 5 * (2 * 4 * 3) + 3 * (3 * 2 * 3));
}

TEST(Ledger, DecisionStaysSmallOnThePapersModel) {
  ModelSpec spec;
  spec.label_names = {"a", "b"};
  size_decision(spec);
  const Ledger ledger = ledger_for(spec, 33);
  const double decision = ledger.extractor + ledger.policy_init + 11 * (ledger.policy_step + ledger.exit_head);
  EXPECT_LT(decision / full_depth_macs(spec, 33), 0.02);
}

}  // namespace
}  // namespace fathom
