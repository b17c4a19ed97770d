// JPEG by libjpeg-turbo. The library reports errors by a callback that may not return, so the decoding function
// below jumps out of it; everything with a destructor lives in its caller.
#include <algorithm>
#include <csetjmp>
#include <cstdio>

#include <jpeglib.h>

#include "data/picture_formats.h"

namespace fathom::data {
namespace {

// A progressive file of many empty scans costs time without pixels: so many are read of a large picture, and more of a
// small one, up to kMostScans. Encoders write about ten.
constexpr int kLeastScans = 16, kMostScans = 100;
constexpr std::uint64_t kScanPixels = 480'000'000;  // pixels times scans
constexpr std::uint64_t kMaxPixelsAByte = 4096;     // no Huffman code says more: a block takes a bit

struct Decoder {
  jpeg_error_mgr errors{};
  jpeg_progress_mgr progress{};
  jpeg_decompress_struct jpeg{};
  std::jmp_buf jump;
  jpeg_source_mgr source{};
  int max_scans = kMostScans;
  char message[JMSG_LENGTH_MAX] = "it ends early";  // unless an error says otherwise
};

Decoder& decoder_of(j_common_ptr jpeg) { return *static_cast<Decoder*>(jpeg->client_data); }

[[noreturn]] void on_error(j_common_ptr jpeg) {
  Decoder& decoder = decoder_of(jpeg);
  jpeg->err->format_message(jpeg, decoder.message);
  std::longjmp(decoder.jump, 1);
}

void on_message(j_common_ptr, int) {}  // lost restarts and the like: the library goes on as well as it can

// The file's bytes are all there are: where more are wanted the library stops and says so, as it does under Pillow.
void on_source(j_decompress_ptr) {}
boolean on_no_more(j_decompress_ptr) { return FALSE; }
void on_skip(j_decompress_ptr jpeg, long count) {
  const std::size_t step = std::min(jpeg->src->bytes_in_buffer, static_cast<std::size_t>(std::max(0L, count)));
  jpeg->src->next_input_byte += step;
  jpeg->src->bytes_in_buffer -= step;
}

void set_source(Decoder& decoder, std::string_view bytes) {
  decoder.source.init_source = decoder.source.term_source = on_source;
  decoder.source.fill_input_buffer = on_no_more;
  decoder.source.skip_input_data = on_skip;
  decoder.source.resync_to_restart = jpeg_resync_to_restart;
  decoder.source.next_input_byte = reinterpret_cast<const JOCTET*>(bytes.data());
  decoder.source.bytes_in_buffer = bytes.size();
  decoder.jpeg.src = &decoder.source;
}

void on_progress(j_common_ptr jpeg) {
  Decoder& decoder = decoder_of(jpeg);
  if (decoder.jpeg.input_scan_number <= decoder.max_scans) return;
  std::snprintf(decoder.message, sizeof decoder.message, "more than %d scans", decoder.max_scans);
  std::longjmp(decoder.jump, 1);
}

bool read_header(Decoder& decoder, std::string_view bytes) {
  if (setjmp(decoder.jump) != 0) return false;
  jpeg_create_decompress(&decoder.jpeg);
  decoder.jpeg.client_data = &decoder;
  decoder.jpeg.progress = &decoder.progress;
  set_source(decoder, bytes);
  return jpeg_read_header(&decoder.jpeg, TRUE) == JPEG_HEADER_OK;
}

bool read_pixels(Decoder& decoder, std::vector<std::uint8_t>& pixels, std::size_t channels) {
  if (setjmp(decoder.jump) != 0) return false;
  decoder.jpeg.out_color_space = channels == 4 ? JCS_CMYK : JCS_RGB;
  decoder.jpeg.dct_method = JDCT_ISLOW;
  if (jpeg_start_decompress(&decoder.jpeg) == FALSE) return false;
  while (decoder.jpeg.output_scanline < decoder.jpeg.output_height) {
    JSAMPROW row = pixels.data() + std::size_t{decoder.jpeg.output_scanline} * decoder.jpeg.output_width * channels;
    if (jpeg_read_scanlines(&decoder.jpeg, &row, 1) == 0) return false;
  }
  return true;  // what follows the last row does not matter
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

Error damaged(const Decoder& decoder, const std::string& where) {
  return {Code::bad_input, where + ": damaged JPEG: " + decoder.message, "copy or make the picture again"};
}

Result<Picture> decode(Decoder& decoder, std::string_view bytes, const std::string& where) {
  if (!read_header(decoder, bytes)) return damaged(decoder, where);
  FATHOM_TRY_VOID(check_picture_size(decoder.jpeg.image_height, decoder.jpeg.image_width, where));
  const std::uint64_t size = std::uint64_t{decoder.jpeg.image_height} * decoder.jpeg.image_width;
  if (decoder.jpeg.arith_code == FALSE && size / kMaxPixelsAByte > bytes.size()) return damaged(decoder, where);
  decoder.max_scans = static_cast<int>(std::clamp<std::uint64_t>(kScanPixels / size, kLeastScans, kMostScans));
  const auto space = decoder.jpeg.jpeg_color_space;
  const std::size_t channels = space == JCS_CMYK || space == JCS_YCCK ? 4 : 3;
  Picture picture;
  picture.height = static_cast<int>(decoder.jpeg.image_height);
  picture.width = static_cast<int>(decoder.jpeg.image_width);
  picture.pixels.resize(std::size_t{decoder.jpeg.image_height} * decoder.jpeg.image_width * channels);
  if (!read_pixels(decoder, picture.pixels, channels)) return damaged(decoder, where);
  if (channels == 4) cmyk_to_rgb(picture.pixels);
  return picture;
}

// A decoder that is gone afterwards, whatever `use` did with it.
template <class Use>
auto with_decoder(const Use& use) {
  Decoder decoder;
  decoder.jpeg.err = jpeg_std_error(&decoder.errors);
  decoder.jpeg.client_data = &decoder;
  decoder.errors.error_exit = on_error;
  decoder.errors.emit_message = on_message;
  decoder.progress.progress_monitor = on_progress;
  auto result = use(decoder);
  jpeg_destroy_decompress(&decoder.jpeg);
  return result;
}

}  // namespace

Result<Picture> decode_jpeg(std::string_view bytes, const std::string& where) {
  return with_decoder([&](Decoder& decoder) { return decode(decoder, bytes, where); });
}

Result<std::pair<int, int>> jpeg_size(std::string_view bytes, const std::string& where) {
  return with_decoder([&](Decoder& decoder) -> Result<std::pair<int, int>> {
    if (!read_header(decoder, bytes)) return damaged(decoder, where);
    FATHOM_TRY_VOID(check_picture_size(decoder.jpeg.image_height, decoder.jpeg.image_width, where));
    return std::pair(static_cast<int>(decoder.jpeg.image_height), static_cast<int>(decoder.jpeg.image_width));
  });
}

}  // namespace fathom::data
