#include "train/extractor.h"

#include <gtest/gtest.h>

#include <cmath>

#include "train/adamw.h"

namespace fathom::train {
namespace {

using torch::Tensor;

ModelSpec small(Modality modality) {
  ModelSpec spec;
  spec.modality = modality;
  spec.layers = 3;
  spec.hidden = 8;
  spec.heads = 2;
  spec.ffn = 16;
  spec.max_tokens = 10;
  spec.vocab = 20;
  spec.image_height = 6;
  spec.image_width = 10;
  spec.patch = 2;
  spec.extractor = {4, 3, 5, 6};
  spec.label_names = {"a", "b"};
  return spec;
}

TEST(Extractor, FeaturesAreTheStatedStatistics) {
  const auto spec = small(Modality::text);
  // One text of 3 tokens padded to 4; channel 0: 1 4 2, channel 1: all 0, channel 2: 6 3 0.
  const auto h1 = torch::tensor({1.f, 4.f, 2.f, 0.f, 0.f, 0.f, 0.f, 0.f, 6.f, 3.f, 0.f, 0.f}).view({1, 3, 1, 4});
  const auto f = predictor_features(spec, h1, torch::tensor({std::int64_t{3}}));
  const double mean0 = (1.0 + 4.0 + 2.0) / 3.0;
  const double expected[] = {mean0, 4, std::sqrt(21.0 / 3.0 - mean0 * mean0), 1.0 / 3.0, 0,  0, 0, 0,
                             3,     6, std::sqrt(45.0 / 3.0 - 9.0),           0.0,       0.3};
  ASSERT_EQ(f.size(1), 13);
  for (int i = 0; i < 13; ++i) EXPECT_EQ(f[0][i].item<double>(), expected[i]) << i;
}

TEST(Extractor, PaddingNeverReachesAText) {
  const auto spec = small(Modality::text);
  const Extractor extractor(spec, 1.0, 3);
  torch::NoGradGuard no_grad;
  auto h0 = random_uniform({2, 9, 8}, 1.0, 1, "h0");
  const auto lengths = torch::tensor({std::int64_t{5}, std::int64_t{9}});
  const auto both = extract(spec, extractor, h0, lengths);
  h0[0].narrow(0, 5, 4).fill_(100);  // what stands behind the first text must not matter
  const auto dirty = extract(spec, extractor, h0, lengths);
  EXPECT_TRUE(torch::equal(both.features, dirty.features));
  EXPECT_TRUE(torch::equal(both.policy_input, dirty.policy_input));
  const auto alone = extract(spec, extractor, h0.narrow(0, 0, 1).narrow(1, 0, 5).contiguous(), lengths.narrow(0, 0, 1));
  EXPECT_LT((both.features.narrow(0, 0, 1) - alone.features).abs().max().item<double>(), 1e-5);
  EXPECT_LT((both.policy_input.narrow(0, 0, 1) - alone.policy_input).abs().max().item<double>(), 1e-5);
}

// Convolution, ReLU, ceil-mode pooling and convolution written out, against the module, on a 3 x 5 grid of patches.
TEST(Extractor, ImageGridEqualsTheFormulaWrittenOut) {
  const auto spec = small(Modality::image);
  const Extractor extractor(spec, 1.0, 5);
  torch::NoGradGuard no_grad;
  const auto h0 = random_uniform({1, 16, 8}, 1.0, 2, "h0");
  const auto w = extractor.named_weights();
  const auto x0 =
      torch::linear(h0[0].narrow(0, 1, 15), w.at("extractor.proj.weight"), w.at("extractor.proj.bias"));  // [15, 4]
  const auto convolve = [](const std::vector<Tensor>& planes, int rows, int columns, const Tensor& k, const Tensor& b) {
    std::vector<Tensor> out;
    for (int o = 0; o < k.size(0); ++o) {
      auto plane = torch::empty({rows, columns});
      for (int r = 0; r < rows; ++r) {
        for (int c = 0; c < columns; ++c) {
          double sum = b[o].item<double>();
          for (int i = 0; i < k.size(1); ++i) {
            for (int y = 0; y < 3; ++y) {
              for (int x = 0; x < 3; ++x) {
                const int rr = r + y - 1, cc = c + x - 1;
                if (rr < 0 || cc < 0 || rr >= rows || cc >= columns) continue;
                sum += k[o][i][y][x].item<double>() * planes[static_cast<std::size_t>(i)][rr][cc].item<double>();
              }
            }
          }
          plane[r][c] = std::max(0.0, sum);
        }
      }
      out.push_back(plane);
    }
    return out;
  };
  std::vector<Tensor> planes;
  for (int c = 0; c < 4; ++c) planes.push_back(x0.select(1, c).reshape({3, 5}));
  const auto h1 = convolve(planes, 3, 5, w.at("extractor.conv1.weight"), w.at("extractor.conv1.bias"));
  std::vector<Tensor> pooled;
  for (const auto& plane : h1) {
    auto p = torch::empty({2, 3});
    for (int r = 0; r < 2; ++r) {
      for (int c = 0; c < 3; ++c)
        p[r][c] = plane.narrow(0, 2 * r, std::min(2, 3 - 2 * r)).narrow(1, 2 * c, std::min(2, 5 - 2 * c)).max();
    }
    pooled.push_back(p);
  }
  const auto h2 = convolve(pooled, 2, 3, w.at("extractor.conv2.weight"), w.at("extractor.conv2.bias"));
  const auto lengths = torch::tensor({std::int64_t{16}});
  const auto got1 = extractor.h1(h0, lengths), got2 = extractor.h2(got1, lengths);
  EXPECT_LT((got1[0] - torch::stack(h1)).abs().max().item<double>(), 1e-5);
  EXPECT_LT((got2[0] - torch::stack(h2)).abs().max().item<double>(), 1e-5);
  const auto input = extract(spec, extractor, h0, lengths).policy_input;  // mean, max, level 0
  EXPECT_NEAR(input[0][0].item<double>(), h2[0].mean().item<double>(), 1e-5);
  EXPECT_NEAR(input[0][5].item<double>(), h2[0].max().item<double>(), 1e-5);
  EXPECT_EQ(input[0][10].item<float>(), 0.0f);
}

}  // namespace
}  // namespace fathom::train
