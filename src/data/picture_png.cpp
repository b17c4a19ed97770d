// PNG by libpng. Errors come back by a jump, as in picture_jpeg.cpp. All forms become 8-bit RGB: palettes and grey are
// expanded, 16-bit values keep their high byte, alpha is dropped (picture.h says why).
#include <csetjmp>
#include <cstdio>
#include <cstring>

#include <png.h>

#include "data/picture_formats.h"

namespace fathom::data {
namespace {

constexpr png_uint_32 kMaxSide = 40'000'000;
constexpr png_alloc_size_t kMaxChunkBytes = 8u << 20;

struct Decoder {
  std::string_view bytes;
  std::size_t at = 0;
  char message[128] = "";
};

void on_read(png_structp png, png_bytep out, size_t size) {
  auto& decoder = *static_cast<Decoder*>(png_get_io_ptr(png));
  if (size > decoder.bytes.size() - decoder.at) png_error(png, "it ends early");
  std::memcpy(out, decoder.bytes.data() + decoder.at, size);
  decoder.at += size;
}

[[noreturn]] void on_error(png_structp png, png_const_charp message) {
  auto& decoder = *static_cast<Decoder*>(png_get_error_ptr(png));
  std::snprintf(decoder.message, sizeof decoder.message, "%s", message);
  png_longjmp(png, 1);
}

void on_warning(png_structp, png_const_charp) {}

bool read_header(png_structp png, png_infop info, Decoder& decoder) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_set_read_fn(png, &decoder, on_read);
  png_set_user_limits(png, kMaxSide, kMaxSide);  // the product is checked by us
  png_set_chunk_malloc_max(png, kMaxChunkBytes);
  png_set_chunk_cache_max(png, 64);
  png_read_info(png, info);
  return true;
}

bool read_pixels(png_structp png, png_infop info, std::vector<png_bytep>& rows) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_read_image(png, rows.data());
  png_read_end(png, info);
  return true;
}

bool set_up(png_structp png, png_infop info) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_set_expand(png);
  png_set_strip_16(png);
  png_set_gray_to_rgb(png);
  png_set_strip_alpha(png);
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
  return true;
}

Result<Picture> decode(png_structp png, png_infop info, Decoder& decoder, const std::string& where) {
  const auto damaged = [&] {
    return Error{Code::bad_input, where + ": damaged PNG: " + decoder.message, "copy or make the picture again"};
  };
  if (!read_header(png, info, decoder)) return damaged();
  const png_uint_32 height = png_get_image_height(png, info), width = png_get_image_width(png, info);
  FATHOM_TRY_VOID(check_picture_size(height, width, where));
  if (!set_up(png, info)) return damaged();
  const std::size_t row_bytes = png_get_rowbytes(png, info);
  if (row_bytes != std::size_t{width} * 3)
    return Error{Code::unsupported, where + ": PNG of an unknown pixel form", "convert it to 8-bit RGB"};
  Picture picture;
  picture.height = static_cast<int>(height);
  picture.width = static_cast<int>(width);
  picture.pixels.resize(height * row_bytes);
  std::vector<png_bytep> rows(height);
  for (std::size_t y = 0; y < height; ++y) rows[y] = picture.pixels.data() + y * row_bytes;
  if (!read_pixels(png, info, rows)) return damaged();
  return picture;
}

}  // namespace

Result<Picture> decode_png(std::string_view bytes, const std::string& where) {
  Decoder decoder;
  decoder.bytes = bytes;
  png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &decoder, on_error, on_warning);
  png_infop info = png == nullptr ? nullptr : png_create_info_struct(png);
  if (info == nullptr) {
    png_destroy_read_struct(&png, nullptr, nullptr);
    return Error{Code::out_of_memory, where + ": no memory to decode PNG", ""};
  }
  auto result = decode(png, info, decoder, where);
  png_destroy_read_struct(&png, &info, nullptr);
  return result;
}

}  // namespace fathom::data
