#include "model/finite.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "model/names.h"

namespace fathom {
namespace {

constexpr std::size_t kAtOnce = 1024;

// The first of `count` numbers that is not finite; count: all are.
std::size_t first_strange(const float* x, std::size_t count) {
  float strange = 0;  // NaN if one is not finite: 0 times it
  for (std::size_t i = 0; i < count; ++i) strange += 0.0f * x[i];
  if (strange == 0.0f) return count;
  std::size_t i = 0;
  while (i < count && std::isfinite(x[i])) ++i;
  return i;
}

Status check_table(const StoredTable& table, const std::string& at) {
  constexpr std::size_t kBytes = std::size_t{1} << 18;  // of rows read at once
  std::array<float, kAtOnce> numbers;
  const std::size_t row_bytes = table.row_bytes();
  const std::size_t rows = std::min(table.rows, std::max<std::size_t>(1, kBytes / std::max<std::size_t>(1, row_bytes)));
  Buffer<std::byte> read(rows * row_bytes);
  for (std::size_t row = 0; row < table.rows; ++row) {
    if (row % rows == 0 &&
        !table.file->read(table.offset_of(row), std::min(rows, table.rows - row) * row_bytes, read.data()))
      return Error{Code::io, at + " was cut short while it was read", "wait until the file is written whole"};
    const std::byte* from = read.data() + row % rows * row_bytes;
    for (std::size_t done = 0, some = 0; done < table.width; done += some) {
      some = std::min(kAtOnce, table.width - done);
      widen(table.type, from + done * (table.row_bytes() / table.width), some, table.scale ? table.scale[row] : 1.0f,
            numbers.data());
      const std::size_t i = first_strange(numbers.data(), some);
      if (i < some)
        return Error{Code::bad_input,
                     at + ": element " + std::to_string(row * table.width + done + i) + " of " +
                         std::to_string(table.rows * table.width) + " is " +
                         (std::isnan(numbers[i]) ? "NaN" : "infinite") + ", weights must be finite",
                     "training diverged, or half precision overflowed: save a checkpoint from before, or in float32"};
    }
  }
  return {};
}

Status check_all(const std::vector<TensorSpec>& wanted, const ModelSpec& spec, const Naming& naming,
                 const SafeTensors& tensors, std::set<std::string>& seen) {
  for (const TensorSpec& want : wanted)
    for (TensorSource& source : sources_of(spec, naming, want)) {
      if (find_named(tensors, source.name) == nullptr || !seen.insert(source.name).second) continue;
      FATHOM_TRY_VOID(check_table(tensors.table_of(source.name),
                                  "'" + tensors.path().string() + "': tensor '" + source.name + "'"));
    }
  return {};
}

}  // namespace

Status check_finite(const ModelSpec& spec, const Naming& naming, const SafeTensors& weights) {
  std::set<std::string> seen;
  FATHOM_TRY_VOID(check_all(backbone_tensors(spec), spec, naming, weights, seen));
  return check_all(task_head_tensors(spec), spec, naming, weights, seen);
}

Status check_finite(const Model& model) {
  FATHOM_CHECK(model.bundle() != nullptr, "a bundle's model");
  FATHOM_TRY_VOID(check_finite(model.spec(), model.naming(), *model.bundle()->weights()));
  if (model.bundle()->decision() == nullptr) return {};
  std::set<std::string> seen;
  return check_all(decision_tensors(model.spec()), model.spec(), {}, *model.bundle()->decision(), seen);
}

}  // namespace fathom
