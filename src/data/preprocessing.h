// What a checkpoint says about its pictures: resize, crop, and mean and standard deviation per channel. Read from
// preprocessor_config.json (Hugging Face's ViT and DeiT image processors) or from timm's pretrained_cfg in config.json,
// and applied as transformers does with its PIL processors: bytes first, then x = (byte * rescale - mean) / std.
// Keys that would change pixels in a way not done here are refused by name; those that change none are ignored.
// Differences: pictures come from decode_picture, so they are upright RGB and have lost their alpha, whatever
// do_convert_rgb says (newer transformers versions compose alpha onto white where it is true).
// Errors: bad_input (not such a file), unsupported (a key or value named), limit (a result too large, or a side that
// vanishes). Thread rule: plain values, pure functions.
#pragma once

#include <array>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "data/dataset.h"
#include "data/picture.h"

namespace fathom::data {

struct Preprocessing {
  bool resize = true;
  int height = 224, width = 224;            // of the resized picture, unless shortest_edge is set
  int shortest_edge = 0, longest_edge = 0;  // 0: not used; the longest edge is an upper bound that keeps the aspect
  Filter filter = Filter::bilinear;
  bool crop = false;
  int crop_height = 224, crop_width = 224;  // around the center; black where the picture is smaller
  bool crop_rounds = false;                 // half a pixel goes to the nearest even (torchvision), else up and left
  bool rescale = true;
  double rescale_factor = 1.0 / 255;
  bool normalize = true;
  std::array<double, 3> mean{.5, .5, .5}, std{.5, .5, .5};  // red, green, blue
  std::vector<std::string> unread{};  // keys that are neither used nor known to leave the pixels as they are

  // The size that every picture ends with; {0, 0} where it depends on the picture.
  struct Size {
    int height = 0, width = 0;
  };
  Size output() const;
};

// `where` names the file in errors.
Result<Preprocessing> parse_preprocessing(std::string_view json, const std::string& where);
Result<Preprocessing> parse_timm_preprocessing(std::string_view json, const std::string& where);

// How a checkpoint's folder, or a bundle made of it, reads pictures: its preprocessor_config.json, or timm's
// pretrained_cfg in config.json; nothing where neither is there.
Result<std::optional<Preprocessing>> read_preprocessing(const std::filesystem::path& folder);

// The byte stage: resized and cropped, [height, width, 3].
Result<Picture> preprocess(const Picture& picture, const Preprocessing& how);

// A picture as a model of height x width reads it, into `to` [height, width, 3]: by `how` where that is known, else as
// it is or resized to fit. `how` must end in that size (checked at import).
Status fit_picture(const Picture& picture, const std::optional<Preprocessing>& how, int height, int width,
                   std::uint8_t* to);

// The first `count` pictures of a split likewise, those in files read one by one: [count, height, width, 3].
Result<std::vector<std::uint8_t>> fit_pictures(const Split& split, std::size_t count,
                                               const std::optional<Preprocessing>& how, int height, int width);

// For engines that compute (byte / 255 - mean) / std: what to give them as mean and std.
struct UnitStatistics {
  std::array<double, 3> mean, std;
};
UnitStatistics unit_statistics(const Preprocessing& how);
// The float stage of a picture that preprocess gave: [3, height, width].
std::vector<float> pixel_tensor(const Picture& picture, const Preprocessing& how);

}  // namespace fathom::data
