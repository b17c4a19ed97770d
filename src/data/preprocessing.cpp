#include "data/preprocessing.h"

#include <algorithm>
#include <cmath>

#include "data/picture_formats.h"

namespace fathom::data {
namespace {

struct Sides {
  std::int64_t height, width;
};

// The shorter side becomes `wanted`, the longer one keeps the aspect and is cut to a whole number.
Sides by_shortest_edge(Sides from, std::int64_t wanted) {
  const auto other = [&](std::int64_t longer, std::int64_t shorter) {
    return static_cast<std::int64_t>(static_cast<double>(wanted * longer) / static_cast<double>(shorter));
  };
  if (from.width <= from.height) return {other(from.height, from.width), wanted};
  return {wanted, other(from.width, from.height)};
}

// The same, but the longer side stays within `most`; then the shorter one is rounded, half to even.
Sides by_both_edges(Sides from, std::int64_t wanted, std::int64_t most) {
  const auto shorter = static_cast<double>(std::min(from.height, from.width)),
             longer = static_cast<double>(std::max(from.height, from.width));
  double exact = static_cast<double>(wanted);
  if (longer / shorter * exact > static_cast<double>(most)) {
    exact = static_cast<double>(most) * shorter / longer;
    wanted = std::llrint(exact);
  }
  if (std::min(from.height, from.width) == wanted) return from;
  const auto height = static_cast<double>(from.height), width = static_cast<double>(from.width);
  if (from.width < from.height) return {static_cast<std::int64_t>(exact * height / width), wanted};
  return {wanted, static_cast<std::int64_t>(exact * width / height)};
}

Result<Picture> resized(const Picture& picture, const Preprocessing& how) {
  Sides sides{how.height, how.width};
  const Sides from{picture.height, picture.width};
  if (how.shortest_edge > 0)
    sides = how.longest_edge > 0 ? by_both_edges(from, how.shortest_edge, how.longest_edge)
                                 : by_shortest_edge(from, how.shortest_edge);
  const std::string name = std::to_string(picture.width) + "x" + std::to_string(picture.height) +
                           " picture, resized to " + std::to_string(sides.width) + "x" + std::to_string(sides.height);
  if (sides.height <= 0 || sides.width <= 0)
    return Error{Code::limit, name + ": a side would vanish", "use a picture that is less narrow"};
  FATHOM_TRY_VOID(
      check_picture_size(static_cast<std::uint64_t>(sides.height), static_cast<std::uint64_t>(sides.width), name));
  return resize_picture(picture, static_cast<int>(sides.height), static_cast<int>(sides.width), how.filter);
}

// Where the window begins on one axis: negative where the picture is smaller than the window.
int window_begin(int from, int to, bool rounds) {
  const int spare = from - to;
  if (rounds) return static_cast<int>(std::nearbyint(spare / 2.0));
  return spare >= 0 ? spare / 2 : -((1 - spare) / 2);  // floor
}

Picture cropped(const Picture& picture, const Preprocessing& how) {
  Picture out{how.crop_height, how.crop_width, {}};
  out.pixels.assign(static_cast<std::size_t>(out.height) * static_cast<std::size_t>(out.width) * 3, 0);
  const int top = window_begin(picture.height, out.height, how.crop_rounds),
            left = window_begin(picture.width, out.width, how.crop_rounds);
  const int first = std::max(0, left), last = std::min(picture.width, left + out.width);
  for (int y = std::max(0, top); y < std::min(picture.height, top + out.height); ++y) {
    const auto offset = [](int row, int width, int column) {
      return (static_cast<std::size_t>(row) * static_cast<std::size_t>(width) + static_cast<std::size_t>(column)) * 3;
    };
    std::copy_n(picture.pixels.data() + offset(y, picture.width, first), static_cast<std::size_t>(last - first) * 3,
                out.pixels.data() + offset(y - top, out.width, first - left));
  }
  return out;
}

}  // namespace

Preprocessing::Size Preprocessing::output() const {
  if (crop) return {crop_height, crop_width};
  if (resize && shortest_edge == 0) return {height, width};
  return {};
}

Result<Picture> preprocess(const Picture& picture, const Preprocessing& how) {
  if (picture.height <= 0 || picture.width <= 0) return Error{Code::invalid_argument, "a picture without pixels", ""};
  Picture out;
  if (how.resize) {
    FATHOM_TRY(out, resized(picture, how));
  } else {
    out = picture;
  }
  if (how.crop && (out.height != how.crop_height || out.width != how.crop_width)) return cropped(out, how);
  return out;
}

UnitStatistics unit_statistics(const Preprocessing& how) {
  UnitStatistics unit;
  const double scale = (how.rescale ? how.rescale_factor : 1.0) * 255;  // of byte / 255
  for (std::size_t c = 0; c < 3; ++c) {
    unit.mean[c] = (how.normalize ? how.mean[c] : 0.0) / scale;
    unit.std[c] = (how.normalize ? how.std[c] : 1.0) / scale;
  }
  return unit;
}

std::vector<float> pixel_tensor(const Picture& picture, const Preprocessing& how) {
  std::array<std::array<float, 256>, 3> values;  // float after the rescale, as transformers computes
  for (std::size_t c = 0; c < 3; ++c)
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const double scaled = static_cast<double>(byte) * (how.rescale ? how.rescale_factor : 1.0);
      values[c][byte] = static_cast<float>(scaled);
      if (how.normalize)
        values[c][byte] = (values[c][byte] - static_cast<float>(how.mean[c])) / static_cast<float>(how.std[c]);
    }
  const std::size_t plane = picture.pixels.size() / 3;
  std::vector<float> tensor(plane * 3);
  for (std::size_t p = 0; p < plane; ++p)
    for (std::size_t c = 0; c < 3; ++c) tensor[c * plane + p] = values[c][picture.pixels[3 * p + c]];
  return tensor;
}

}  // namespace fathom::data
