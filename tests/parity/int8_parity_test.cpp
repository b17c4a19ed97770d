// What training takes for int8 (train/fake_int8.h) is what the kernels of every tier make of numbers, bit for bit.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "base/cpu.h"
#include "kernels/packing.h"
#include "kernels/table.h"
#include "kernels/tiers.h"
#include "train/fake_int8.h"

namespace fathom {
namespace {

using torch::Tensor;

std::vector<Tensor> random_rows(std::int64_t rows, std::int64_t width) {
  torch::manual_seed(rows * 1000 + width);
  const Tensor normal = torch::randn({rows, width});
  return {normal,
          normal.abs(),
          -normal.abs(),
          normal * 1e-30f,
          normal * torch::exp(torch::randn({rows, 1}) * 8),
          normal - 100,
          torch::zeros({rows, width}),
          torch::round(normal * 2) / 2};
}

TEST(Int8Parity, RowsAreThoseOfEveryTier) {
  for (const Tier tier : kAllTiers) {
    if (!tier_available(tier, detect_cpu())) continue;
    const kernels::Table& table = kernels::table(tier);
    for (const std::int64_t width : {1, 3, 16, 31, 384, 1537})
      for (const Tensor& x : random_rows(5, width)) {
        const auto padded = static_cast<std::size_t>((width + 3) / 4 * 4);
        std::vector<std::uint8_t> q(5 * padded);
        float scale[5];
        std::int32_t zero[5];
        table.quantize_rows(x.data_ptr<float>(), static_cast<std::size_t>(width), 5, static_cast<std::size_t>(width),
                            q.data(), padded, scale, zero);
        const Tensor y = train::fake_int8_rows(x, table.levels);
        for (std::int64_t r = 0; r < 5; ++r)
          for (std::int64_t i = 0; i < width; ++i)
            ASSERT_EQ(y[r][i].item<float>(),
                      scale[r] * static_cast<float>(
                                     q[static_cast<std::size_t>(r) * padded + static_cast<std::size_t>(i)] - zero[r]))
                << tier_name(tier) << ", width " << width << ", row " << r << ", place " << i << ": "
                << x[r][i].item<float>();
      }
  }
}

TEST(Int8Parity, WeightsAreThoseThatArePacked) {
  for (const std::int64_t width : {1, 3, 16, 31, 384, 1537})
    for (const Tensor& w : random_rows(7, width)) {
      const Tensor y = train::fake_int8_weights(w);
      for (std::int64_t r = 0; r < 7; ++r) {
        const float* row = w.data_ptr<float>() + r * width;
        const float scale = kernels::column_scale(row, static_cast<std::size_t>(width)),
                    inverse = scale > 0 ? 1.0f / scale : 0.0f;
        for (std::int64_t i = 0; i < width; ++i)
          ASSERT_EQ(y[r][i].item<float>(), scale * static_cast<float>(kernels::int8_weight(row[i], inverse)))
              << width << ": " << row[i];
      }
    }
}

}  // namespace
}  // namespace fathom
