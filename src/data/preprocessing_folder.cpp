#include <cstring>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "data/gzip.h"
#include "data/preprocessing.h"

namespace fathom::data {

Result<std::optional<Preprocessing>> read_preprocessing(const std::filesystem::path& folder) {
  constexpr std::uint64_t kMaxBytes = 16u << 20;
  const fs::path own = folder / "preprocessor_config.json", config = folder / "config.json";
  std::error_code ignored;
  if (fs::is_regular_file(own, ignored)) {
    FATHOM_TRY(const std::string text, read_file(own, kMaxBytes));
    FATHOM_TRY(auto how, parse_preprocessing(text, "'" + own.string() + "'"));
    return std::optional(std::move(how));
  }
  FATHOM_TRY(const std::string text, read_file(config, kMaxBytes));
  FATHOM_TRY(const Json json, parse_json(text, "'" + config.string() + "'", Code::bad_input));
  if (!json.is_object() || !json.contains("pretrained_cfg")) return std::optional<Preprocessing>();
  FATHOM_TRY(auto how, parse_timm_preprocessing(text, "'" + config.string() + "'"));
  return std::optional(std::move(how));
}

Status fit_picture(const Picture& picture, const std::optional<Preprocessing>& how, int height, int width,
                   std::uint8_t* to) {
  const auto put = [to](const Picture& from) { std::memcpy(to, from.pixels.data(), from.pixels.size()); };
  if (how) {
    FATHOM_TRY(const Picture read, preprocess(picture, *how));
    FATHOM_CHECK(read.height == height && read.width == width, "preprocessing ends in the model's size");
    put(read);
  } else if (picture.height == height && picture.width == width) {
    put(picture);
  } else {
    put(resize_picture(picture, height, width));
  }
  return {};
}

namespace {

// No more than one picture is held as it was: what the model reads may be far smaller.
Result<std::vector<std::uint8_t>> fit_files(const Split& split, std::size_t count,
                                            const std::optional<Preprocessing>& how, int height, int width) {
  const std::size_t bytes = static_cast<std::size_t>(height) * static_cast<std::size_t>(width) * 3;
  if (count > kMaxDataBytes / bytes)
    return Error{Code::limit,
                 std::to_string(count) + " pictures of " + std::to_string(height) + "x" + std::to_string(width) +
                     ": more than " + std::to_string(kMaxDataBytes) + " bytes",
                 "use fewer pictures or a smaller size"};
  std::vector<std::uint8_t> fitted(count * bytes);
  for (std::size_t i = 0; i < count; ++i) {
    FATHOM_TRY(const Picture picture, read_picture(split.files[i].path));
    FATHOM_TRY_VOID(fit_picture(picture, how, height, width, fitted.data() + i * bytes));
  }
  return fitted;
}

}  // namespace

Result<std::vector<std::uint8_t>> fit_pictures(const Split& split, std::size_t count,
                                               const std::optional<Preprocessing>& how, int height, int width) {
  const std::size_t bytes = static_cast<std::size_t>(height) * static_cast<std::size_t>(width) * 3;
  if (!split.files.empty()) return fit_files(split, count, how, height, width);
  if (!how && split.height == height && split.width == width)
    return std::vector<std::uint8_t>(split.pixels.begin(),
                                     split.pixels.begin() + static_cast<std::ptrdiff_t>(count * bytes));
  std::vector<std::uint8_t> fitted(count * bytes);
  Picture source{split.height, split.width, {}};
  for (std::size_t i = 0; i < count; ++i) {
    source.pixels.assign(split.picture(i), split.picture(i) + split.picture_bytes());
    FATHOM_TRY_VOID(fit_picture(source, how, height, width, fitted.data() + i * bytes));
  }
  return fitted;
}

}  // namespace fathom::data
