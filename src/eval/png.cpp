#include "eval/png.h"

#include <png.h>

namespace fathom::eval {

std::string png_bytes(const std::uint8_t* rgb, int height, int width) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width);
  image.height = static_cast<png_uint_32>(height);
  image.format = PNG_FORMAT_RGB;
  png_alloc_size_t size = 0;
  std::string out;
  if (png_image_write_get_memory_size(image, size, 0, rgb, 0, nullptr) == 0) return out;
  out.resize(size);
  if (png_image_write_to_memory(&image, out.data(), &size, 0, rgb, 0, nullptr) == 0) size = 0;
  out.resize(size);
  return out;
}

std::string base64(std::string_view bytes) {
  static const char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k)
      group = group << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    for (std::size_t k = 0; k < 4; ++k)
      out.push_back(i + k <= bytes.size() ? kDigits[group >> (18 - 6 * k) & 63] : '=');
  }
  return out;
}

std::string png_data_uri(const std::uint8_t* rgb, int height, int width) {
  const std::string png = png_bytes(rgb, height, width);
  return png.empty() ? "" : "data:image/png;base64," + base64(png);
}

}  // namespace fathom::eval
