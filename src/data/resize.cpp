// Resizing with a triangle filter that widens when shrinking (antialiased), in fixed point, rows first and then columns,
// rounding to bytes in between: the arithmetic of Pillow's BILINEAR, whose values it gives.
#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "data/picture.h"

namespace fathom::data {
namespace {

constexpr int kBits = 22;  // of the fixed-point weights: 32 - 8 for the value - 2 for headroom

struct Taps {
  int first = 0;
  std::vector<std::int32_t> weights;
};

std::vector<Taps> make_taps(int from, int to) {
  const double scale = static_cast<double>(from) / to;
  const double reach = std::max(scale, 1.0);  // half width of the filter in source pixels
  std::vector<Taps> taps(static_cast<std::size_t>(to));
  for (int i = 0; i < to; ++i) {
    const double center = (i + .5) * scale;
    const int first = std::max(0, static_cast<int>(center - reach + .5));
    const int last = std::min(from, static_cast<int>(center + reach + .5));
    std::vector<double> weights;
    double sum = 0;
    for (int x = first; x < last; ++x) {
      weights.push_back(std::max(0.0, 1.0 - std::abs((x - center + .5) * (1.0 / reach))));
      sum += weights.back();
    }
    Taps& one = taps[static_cast<std::size_t>(i)];
    one.first = first;
    for (const double w : weights) one.weights.push_back(static_cast<std::int32_t>(.5 + w / sum * (1 << kBits)));
  }
  return taps;
}

// Weighs along one axis: `outer` lines, `stride` bytes between neighbours on the axis, `inner` bytes handled alike.
struct Axis {
  std::size_t outer, from, to, inner;
};

std::vector<std::uint8_t> weigh(const std::vector<std::uint8_t>& in, const Axis& axis) {
  const std::vector<Taps> taps = make_taps(static_cast<int>(axis.from), static_cast<int>(axis.to));
  std::vector<std::uint8_t> out(axis.outer * axis.to * axis.inner);
  std::vector<std::int32_t> sums(axis.inner);
  for (std::size_t o = 0; o < axis.outer; ++o)
    for (std::size_t i = 0; i < axis.to; ++i) {
      std::fill(sums.begin(), sums.end(), 1 << (kBits - 1));
      for (std::size_t t = 0; t < taps[i].weights.size(); ++t) {
        const std::uint8_t* source = in.data() + (o * axis.from + static_cast<std::size_t>(taps[i].first) + t) * axis.inner;
        for (std::size_t b = 0; b < axis.inner; ++b) sums[b] += source[b] * taps[i].weights[t];
      }
      std::uint8_t* target = out.data() + (o * axis.to + i) * axis.inner;
      for (std::size_t b = 0; b < axis.inner; ++b) target[b] = static_cast<std::uint8_t>(std::clamp(sums[b] >> kBits, 0, 255));
    }
  return out;
}

}  // namespace

Picture resize_picture(const Picture& source, int height, int width) {
  FATHOM_CHECK(height > 0 && width > 0 && source.height > 0 && source.width > 0, "sizes must be positive");
  const auto rows = static_cast<std::size_t>(source.height), columns = static_cast<std::size_t>(source.width);
  Picture out{height, width, source.pixels};
  if (width != source.width) out.pixels = weigh(out.pixels, {rows, columns, static_cast<std::size_t>(width), 3});
  if (height != source.height) out.pixels = weigh(out.pixels, {1, rows, static_cast<std::size_t>(height), static_cast<std::size_t>(width) * 3});
  return out;
}

}  // namespace fathom::data
