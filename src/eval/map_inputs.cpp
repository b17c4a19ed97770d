#include "eval/map_inputs.h"

#include <cmath>

#include "kernels/parallel.h"
#include "kernels/table.h"
#include "tensor/tensor.h"

namespace fathom::eval {
namespace {

using engine::RowsRead;

constexpr std::size_t kBatch = 8;

Status watch(const std::shared_ptr<const engine::Plan>& plan, engine::Runtime& runtime, const Encoded& inputs,
             int layers, const engine::Watcher& see) {
  FATHOM_TRY(auto session, engine::Session::create(plan, runtime, limits_for(inputs, kBatch)));
  const Batches batches(inputs, kBatch);
  for (std::size_t i = 0; i < batches.size(); ++i) FATHOM_TRY_VOID(session.watch(batches[i], layers, see));
  return {};
}

// Adds x x^T of all rows by the kernels' GEMM: columns of the rows meet each other.
class ProductAdder {
 public:
  explicit ProductAdder(engine::Runtime& runtime)
      : runtime_(runtime),
        scratch_(runtime.kernels().gemm_scratch * static_cast<std::size_t>(runtime.pool().threads())) {}
  void add(const RowsRead& read, Moments& to) {
    const std::size_t width = read.width, rows = read.count;
    columns_.resize(width * rows);
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t i = 0; i < width; ++i) {
        const float value = read.rows[r * read.stride + i];
        columns_[i * rows + r] = value;
        to.sums[i] += static_cast<double>(value);
      }
    const kernels::Table& table = runtime_.kernels();
    if (const std::size_t floats = table.packed_size(width, rows); packed_.size() < floats)
      packed_ = Buffer<float>(floats);
    table.pack_weights(columns_.data(), width, rows, packed_.data());
    kernels::GemmArgs args;
    args.a = columns_.data();
    args.lda = rows;
    args.packed = packed_.data();
    args.residual = args.c = to.products.data();
    args.ldr = args.ldc = width;
    args.m = args.n = width;
    args.k = rows;
    args.scratch = scratch_.data();
    kernels::gemm(table, runtime_.pool(), args);
  }

 private:
  engine::Runtime& runtime_;
  Buffer<float> scratch_;
  std::vector<float> columns_;
  Buffer<float> packed_;
};

}  // namespace

Result<InputSums> input_sums(const std::shared_ptr<const engine::Plan>& plan, engine::Runtime& runtime,
                             const Encoded& inputs) {
  const kernels::Table& table = runtime.kernels();
  InputSums sums(plan->spec());
  std::vector<std::uint8_t> q(kernels::int8_row_bytes(std::max(sums.hidden, sums.ffn)));
  const auto see = [&](const RowsRead& read) {
    const std::size_t place[] = {0, sums.at_o(), sums.at_f1(), sums.at_f2()};
    const std::size_t at = read.layer * sums.layer_width() + place[static_cast<std::size_t>(read.map)];
    double *exact = sums.exact.data() + at, *rounded = sums.rounded.data() + at;
    if (read.layer == 0 && read.map == RowsRead::Map::qkv) sums.rows += read.count;
    for (std::size_t r = 0; r < read.count; ++r) {
      const float* row = read.rows + r * read.stride;
      float scale = 0;
      std::int32_t zero = 0;
      table.quantize_rows(row, read.stride, 1, read.width, q.data(), q.size(), &scale, &zero);
      for (std::size_t i = 0; i < read.width; ++i) {
        exact[i] += static_cast<double>(row[i]);
        rounded[i] += static_cast<double>(scale) * (static_cast<std::int32_t>(q[i]) - zero);
      }
    }
  };
  FATHOM_TRY_VOID(watch(plan, runtime, inputs, plan->spec().layers, see));
  return sums;
}

Result<std::vector<InputMoments>> input_moments(const std::shared_ptr<const engine::Plan>& plan,
                                                engine::Runtime& runtime, const Encoded& inputs, int first, int count,
                                                const WantedMaps& maps) {
  std::vector<InputMoments> moments(static_cast<std::size_t>(count), InputMoments(plan->spec(), maps));
  ProductAdder adder(runtime);
  const auto see = [&](const RowsRead& read) {
    if (read.layer < static_cast<std::size_t>(first)) return;
    InputMoments& to = moments[read.layer - static_cast<std::size_t>(first)];
    if (const std::size_t map = static_cast<std::size_t>(read.map); maps[map]) adder.add(read, to.of[map]);
    if (read.map == RowsRead::Map::f2) to.rows += read.count;
  };
  FATHOM_TRY_VOID(watch(plan, runtime, inputs, first + count, see));
  for (std::size_t layer = 0; layer < moments.size(); ++layer)
    for (const Moments& of : moments[layer].of)
      for (std::size_t i = 0; i < of.width; ++i)
        if (!std::isfinite(of.products[i * of.width + i]))  // its mean is finite where its square is, and so are its
                                                            // products with others
          return Error{Code::corrupt_bundle,
                       "layer " + std::to_string(static_cast<std::size_t>(first) + layer + 1) +
                           " reads values on this data that are not finite",
                       "its weights are damaged or were never trained; make the bundle again"};
  return moments;
}

}  // namespace fathom::eval
