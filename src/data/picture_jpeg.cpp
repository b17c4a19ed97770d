// JPEG by libjpeg-turbo. The library reports errors by a callback that may not return, so the decoding function
// below jumps out of it; everything with a destructor lives in its caller.
#include <csetjmp>
#include <cstdio>

#include <jerror.h>
#include <jpeglib.h>

#include "data/picture_formats.h"

namespace fathom::data {
namespace {

constexpr int kMaxScans = 200;  // a progressive file of many empty scans costs time without pixels

struct Decoder {
  jpeg_error_mgr errors{};
  jpeg_progress_mgr progress{};
  jpeg_decompress_struct jpeg{};
  std::jmp_buf jump;
  char message[JMSG_LENGTH_MAX] = "";
  bool cut = false;
};

Decoder& decoder_of(j_common_ptr jpeg) { return *static_cast<Decoder*>(jpeg->client_data); }

[[noreturn]] void on_error(j_common_ptr jpeg) {
  Decoder& decoder = decoder_of(jpeg);
  jpeg->err->format_message(jpeg, decoder.message);
  std::longjmp(decoder.jump, 1);
}

void on_message(j_common_ptr jpeg, int level) {
  if (level >= 0) return;  // trace
  const int code = jpeg->err->msg_code;
  if (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER) decoder_of(jpeg).cut = true;
}

void on_progress(j_common_ptr jpeg) {
  if (reinterpret_cast<j_decompress_ptr>(jpeg)->input_scan_number <= kMaxScans) return;
  Decoder& decoder = decoder_of(jpeg);
  std::snprintf(decoder.message, sizeof decoder.message, "more than %d scans", kMaxScans);
  std::longjmp(decoder.jump, 1);
}

bool read_header(Decoder& decoder, std::string_view bytes) {
  if (setjmp(decoder.jump) != 0) return false;
  jpeg_create_decompress(&decoder.jpeg);
  decoder.jpeg.client_data = &decoder;
  decoder.jpeg.progress = &decoder.progress;
  jpeg_mem_src(&decoder.jpeg, reinterpret_cast<const unsigned char*>(bytes.data()),
               static_cast<unsigned long>(bytes.size()));
  jpeg_read_header(&decoder.jpeg, TRUE);
  return true;
}

bool read_pixels(Decoder& decoder, std::vector<std::uint8_t>& pixels, std::size_t channels) {
  if (setjmp(decoder.jump) != 0) return false;
  decoder.jpeg.out_color_space = channels == 4 ? JCS_CMYK : JCS_RGB;
  decoder.jpeg.dct_method = JDCT_ISLOW;
  jpeg_start_decompress(&decoder.jpeg);
  while (decoder.jpeg.output_scanline < decoder.jpeg.output_height) {
    JSAMPROW row = pixels.data() + std::size_t{decoder.jpeg.output_scanline} * decoder.jpeg.output_width * channels;
    jpeg_read_scanlines(&decoder.jpeg, &row, 1);
  }
  jpeg_finish_decompress(&decoder.jpeg);
  return true;
}

// As Adobe writes CMYK, a value is the light that its ink leaves; files without Adobe's marker are read alike, because
// Pillow does so. The product over 255 is rounded, in place.
void cmyk_to_rgb(std::vector<std::uint8_t>& pixels) {
  const std::size_t count = pixels.size() / 4;
  for (std::size_t p = 0; p < count; ++p) {
    const unsigned black = pixels[4 * p + 3];
    for (std::size_t c = 0; c < 3; ++c) {
      const unsigned product = (255u - pixels[4 * p + c]) * black + 128u;
      pixels[3 * p + c] = static_cast<std::uint8_t>(black - ((product >> 8) + product) / 256u);
    }
  }
  pixels.resize(count * 3);
}

Result<Picture> decode(Decoder& decoder, std::string_view bytes, const std::string& where) {
  const auto damaged = [&] {
    return Error{Code::bad_input, where + ": damaged JPEG: " + (decoder.cut ? "it ends early" : decoder.message),
                 "copy or make the picture again"};
  };
  if (!read_header(decoder, bytes)) return damaged();
  FATHOM_TRY_VOID(check_picture_size(decoder.jpeg.image_height, decoder.jpeg.image_width, where));
  const auto space = decoder.jpeg.jpeg_color_space;
  const std::size_t channels = space == JCS_CMYK || space == JCS_YCCK ? 4 : 3;
  Picture picture;
  picture.height = static_cast<int>(decoder.jpeg.image_height);
  picture.width = static_cast<int>(decoder.jpeg.image_width);
  picture.pixels.resize(std::size_t{decoder.jpeg.image_height} * decoder.jpeg.image_width * channels);
  if (!read_pixels(decoder, picture.pixels, channels) || decoder.cut) return damaged();
  if (channels == 4) cmyk_to_rgb(picture.pixels);
  return picture;
}

}  // namespace

Result<Picture> decode_jpeg(std::string_view bytes, const std::string& where) {
  Decoder decoder;
  decoder.jpeg.err = jpeg_std_error(&decoder.errors);
  decoder.jpeg.client_data = &decoder;
  decoder.errors.error_exit = on_error;
  decoder.errors.emit_message = on_message;
  decoder.progress.progress_monitor = on_progress;
  auto result = decode(decoder, bytes, where);
  jpeg_destroy_decompress(&decoder.jpeg);
  return result;
}

}  // namespace fathom::data
