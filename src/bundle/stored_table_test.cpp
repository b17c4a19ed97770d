#include "bundle/stored_table.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace fathom {
namespace {

template <class T>
std::vector<float> widened(Stored type, const std::vector<T>& values, float scale = 1.0f) {
  std::vector<float> out(values.size());
  widen(type, reinterpret_cast<const std::byte*>(values.data()), values.size(), scale, out.data());
  return out;
}

TEST(StoredTable, NumbersAreWidenedExactly) {
  EXPECT_EQ(widened<float>(Stored::f32, {1.5f, -2.0f}), (std::vector<float>{1.5f, -2.0f}));
  EXPECT_EQ(widened<std::uint16_t>(Stored::bf16, {0x3F80, 0xC000, 0x7F80}),
            (std::vector<float>{1.0f, -2.0f, std::numeric_limits<float>::infinity()}));
  EXPECT_EQ(widened<std::uint16_t>(Stored::f16, {0x3C00, 0xC000, 0x0001, 0x7BFF}),
            (std::vector<float>{1.0f, -2.0f, 0x1p-24f, 65504.0f}));
  EXPECT_TRUE(std::isnan(widened<std::uint16_t>(Stored::f16, {0x7E00})[0]));
  EXPECT_EQ(widened<std::int8_t>(Stored::i8, {127, -128, 0}, 0.5f), (std::vector<float>{63.5f, -64.0f, 0.0f}));
}

TEST(StoredTable, RowsLieAsWideAsTheirType) {
  const std::vector<std::int8_t> bytes = {1, 2, 3, 4, 5, 6};
  const float scale[] = {1.0f, 10.0f};
  StoredTable table{Stored::i8, 8, scale, nullptr, 2, 3};
  EXPECT_EQ(table.offset_of(1), 11u);
  float row[3];
  table.widen_row(1, reinterpret_cast<const std::byte*>(bytes.data()) + 3, row);
  EXPECT_EQ(std::vector<float>(row, row + 3), (std::vector<float>{40, 50, 60}));
  for (const auto& [dtype, type, size] : {std::tuple("F32", Stored::f32, 4u), std::tuple("F16", Stored::f16, 2u),
                                          std::tuple("BF16", Stored::bf16, 2u), std::tuple("I8", Stored::i8, 1u)}) {
    ASSERT_EQ(stored_as(dtype), type);
    table.type = type;
    EXPECT_EQ(table.row_bytes(), 3 * size) << dtype;
  }
  EXPECT_FALSE(stored_as("I64"));
}

}  // namespace
}  // namespace fathom
