// Session::watch against the reference: the right rows of every map, every token once.
#include <gtest/gtest.h>

#include <map>

#include "engine/parts.h"
#include "engine/reference_forward.h"
#include "engine/test_models.h"

namespace fathom::engine {
namespace {

using Map = RowsRead::Map;

// What one layer's maps read, by the reference: rows of x, o's, f1's and f2's inputs.
std::map<Map, reference::Rows> inputs_of(const reference::Forward& forward, const reference::Rows& x, int layer) {
  const std::string name = "encoder.layer." + std::to_string(layer) + ".";
  const bool pre = forward.spec.norm == NormOrder::pre;
  std::map<Map, reference::Rows> out;
  for (const auto& row : x) out[Map::qkv].push_back(pre ? forward.norm(row, name + "layernorm_before") : row);
  out[Map::o] = forward.attention(out[Map::qkv], layer);
  for (std::size_t t = 0; t < x.size(); ++t) {
    const auto mixed = forward.sum(x[t], forward.linear(forward.read_by(out[Map::o][t], layer, 1),
                                                        name + "attention.output.dense", forward.spec.hidden));
    out[Map::f1].push_back(forward.norm(mixed, name + (pre ? "layernorm_after" : "attention.output.LayerNorm")));
    auto inner =
        forward.linear(forward.read_by(out[Map::f1].back(), layer, 2), name + "intermediate.dense", forward.spec.ffn);
    for (double& value : inner) value = forward.gelu(value);
    out[Map::f2].push_back(inner);
  }
  return out;
}

TEST(Watch, EveryMapShowsWhatItReads) {
  for (const testing::Case& which : testing::all_cases()) {
    if (which.spec.modality == Modality::image) continue;
    testing::Loaded loaded(which, "", 1);
    const reference::Forward forward{*loaded.model, loaded.plan->policy()};
    const testing::Inputs inputs = testing::random_inputs(which.spec, 3, 8);
    const int layers = which.spec.layers - 1;
    std::map<std::pair<std::size_t, Map>, reference::Rows> seen;
    const auto see = [&](const RowsRead& read) {
      for (std::size_t r = 0; r < read.count; ++r) {
        const float* row = read.rows + r * read.stride;
        seen[{read.layer, read.map}].emplace_back(row, row + read.width);
      }
    };
    testing::must(loaded.session->watch(inputs.batch(), layers, see));
    EXPECT_EQ(seen.size(), 4u * static_cast<std::size_t>(layers)) << "the last layer was not asked for";
    std::size_t first = 0;
    for (std::size_t i = 0; i < inputs.count; ++i) {
      auto x = forward.text(inputs.texts[i], inputs.kinds[i]);
      for (int layer = 0; layer < layers; ++layer) {
        for (const auto& [map, rows] : inputs_of(forward, x, layer)) {
          const auto& got = seen.at({static_cast<std::size_t>(layer), map});
          ASSERT_EQ(got.size(), inputs.ids.size());
          for (std::size_t t = 0; t < rows.size(); ++t) {
            ASSERT_EQ(got[first + t].size(), rows[t].size());
            for (std::size_t k = 0; k < rows[t].size(); ++k)
              ASSERT_NEAR(got[first + t][k], rows[t][k], 1e-4)
                  << which.name << " layer " << layer << " map " << static_cast<int>(map) << " token " << t;
          }
        }
        x = forward.layer(x, layer);
      }
      first += inputs.texts[i].size();
    }
  }
}

TEST(Watch, LayersInFewerBitsAreRefused) {
  testing::Case which = testing::all_cases()[0];
  which.precision = Precision::int8;
  testing::Loaded loaded(which, "", 1);
  const testing::Inputs inputs = testing::random_inputs(which.spec, 3, 8);
  const Status status = loaded.session->watch(inputs.batch(), 1, [](const RowsRead&) { FAIL(); });
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Code::unsupported);
}

}  // namespace
}  // namespace fathom::engine
