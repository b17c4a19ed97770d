// PNG by libpng, which is shown only the chunks that make pixels: what text or profiles claim to hold costs nothing,
// and what stands behind the last row does not matter. Errors come back by a jump, as in picture_jpeg.cpp. All forms
// become 8-bit RGB: palettes and grey are expanded, 16-bit values keep their high byte, but grey ones become 255 where
// they are larger (picture.h says why); alpha is dropped.
#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstring>

#include <png.h>
#include <zlib.h>

#include "data/picture_formats.h"
#include "data/png_chunks.h"

namespace fathom::data {
namespace {

constexpr png_uint_32 kMaxSide = 65535;       // as of JPEG
constexpr std::uint64_t kMaxInflated = 1032;  // bytes that one byte of deflate can become
constexpr std::size_t kMaxPieces = 1u << 20;  // of pixel data

// The file as libpng sees it.
struct Decoder {
  std::vector<std::string_view> pieces;
  std::size_t piece = 0, at = 0;  // the next byte
  std::uint64_t packed = 0;       // bytes of pixel data
  std::uint64_t rows = 0;         // read and unfiltered so far, in all passes
  std::string cut_header;         // of a last chunk that is cut short
  char message[128] = "";
};

void on_read(png_structp png, png_bytep out, size_t size) {
  auto& decoder = *static_cast<Decoder*>(png_get_io_ptr(png));
  while (size > 0) {
    if (decoder.piece == decoder.pieces.size()) png_error(png, "it ends early");
    const std::string_view from = decoder.pieces[decoder.piece].substr(decoder.at);
    const std::size_t step = std::min(size, from.size());
    std::memcpy(out, from.data(), step);
    out += step;
    size -= step;
    decoder.at += step;
    if (step < from.size()) continue;
    ++decoder.piece;
    decoder.at = 0;
  }
}

[[noreturn]] void on_error(png_structp png, png_const_charp message) {
  auto& decoder = *static_cast<Decoder*>(png_get_error_ptr(png));
  std::snprintf(decoder.message, sizeof decoder.message, "%s", message);
  png_longjmp(png, 1);
}

void on_warning(png_structp, png_const_charp) {}

void on_row(png_structp png, png_row_infop, png_bytep) { ++static_cast<Decoder*>(png_get_io_ptr(png))->rows; }

// Grey of 16 bits, which has become three equal values of two bytes: to three bytes, as Pillow clips.
void on_grey16_row(png_structp png, png_row_infop row, png_bytep bytes) {
  for (png_uint_32 x = 0; x < row->width; ++x) {
    const png_byte value = bytes[std::size_t{6} * x] > 0 ? 255 : bytes[std::size_t{6} * x + 1];
    for (std::size_t c = 0; c < 3; ++c) bytes[std::size_t{3} * x + c] = value;
  }
  row->bit_depth = 8;
  row->pixel_depth = 24;
  row->rowbytes = std::size_t{3} * row->width;
  on_row(png, row, bytes);
}

// Signature, header, palette and the first run of pixel data. False: a header or palette with a wrong checksum.
bool gather(std::string_view bytes, Decoder& decoder) {
  static constexpr std::string_view kEnd("\0\0\0\0IEND\xAE\x42\x60\x82", 12), kNoSum("\0\0\0\0", 4);
  decoder.pieces.push_back(bytes.substr(0, kPngSignatureBytes));
  PngChunks chunks(bytes);
  bool pixels = false;
  while (const auto chunk = chunks.next()) {
    const bool data = chunk->name == "IDAT";
    if (pixels && !data) break;
    pixels = data;
    if (!data && chunk->name != "IHDR" && chunk->name != "PLTE") continue;
    if (!data && !chunk->sum_is_right) return false;
    if (data && chunk->data.empty()) continue;
    if (data) decoder.packed += chunk->data.size();
    if (chunk->whole) {
      decoder.pieces.push_back(bytes.substr(chunk->at, chunk->data.size() + 12));
    } else {
      decoder.cut_header = png_chunk_header(chunk->name, chunk->data.size());
      decoder.pieces.insert(decoder.pieces.end(), {decoder.cut_header, chunk->data, kNoSum});
    }
    if (decoder.pieces.size() > kMaxPieces) return false;
  }
  decoder.pieces.push_back(kEnd);
  return true;
}

bool read_header(png_structp png, png_infop info, Decoder& decoder) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_set_read_fn(png, &decoder, on_read);
  png_set_user_limits(png, 0x7FFFFFFF, 0x7FFFFFFF);               // checked by us
  png_set_crc_action(png, PNG_CRC_QUIET_USE, PNG_CRC_QUIET_USE);  // of pixel data Pillow checks none, the rest was
  png_read_info(png, info);
  return true;
}

bool set_up(png_structp png, png_infop info) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  const bool grey16 = png_get_bit_depth(png, info) == 16 && png_get_color_type(png, info) == PNG_COLOR_TYPE_GRAY;
  png_set_expand(png);
  if (!grey16) png_set_strip_16(png);
  png_set_gray_to_rgb(png);
  png_set_strip_alpha(png);
  png_set_interlace_handling(png);
  png_set_read_user_transform_fn(png, grey16 ? on_grey16_row : on_row);
  if (grey16) png_set_user_transform_info(png, nullptr, 8, 3);
  png_read_update_info(png, info);
  return true;
}

bool read_pixels(png_structp png, png_infop info, std::uint8_t* pixels, std::size_t row_bytes) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  const int passes = png_get_interlace_type(png, info) == PNG_INTERLACE_ADAM7 ? PNG_INTERLACE_ADAM7_PASSES : 1;
  const png_uint_32 height = png_get_image_height(png, info);
  for (int pass = 0; pass < passes; ++pass)
    for (png_uint_32 y = 0; y < height; ++y) png_read_row(png, pixels + y * row_bytes, nullptr);
  return true;
}

// Rows that all passes have together, and the bytes they are before packing.
std::pair<std::uint64_t, std::uint64_t> rows_and_bytes(png_structp png, png_infop info) {
  const std::uint64_t height = png_get_image_height(png, info), width = png_get_image_width(png, info);
  const std::uint64_t bits = std::uint64_t{png_get_bit_depth(png, info)} * png_get_channels(png, info);
  if (png_get_interlace_type(png, info) != PNG_INTERLACE_ADAM7) return {height, height * (1 + (width * bits + 7) / 8)};
  std::uint64_t rows = 0, all = 0;
  for (int pass = 0; pass < PNG_INTERLACE_ADAM7_PASSES; ++pass) {
    const std::uint64_t columns = PNG_PASS_COLS(width, pass), lines = columns > 0 ? PNG_PASS_ROWS(height, pass) : 0;
    rows += lines;
    all += lines * (1 + (columns * bits + 7) / 8);
  }
  return {rows, all};
}

Result<Picture> decode(png_structp png, png_infop info, Decoder& decoder, const std::string& where) {
  const auto damaged = [&](const char* what) {
    return Error{Code::bad_input, where + ": damaged PNG: " + what, "copy or make the picture again"};
  };
  if (!read_header(png, info, decoder)) return damaged(decoder.message);
  const png_uint_32 height = png_get_image_height(png, info), width = png_get_image_width(png, info);
  FATHOM_TRY_VOID(check_picture_size(height, width, where));
  if (height > kMaxSide || width > kMaxSide)
    return Error{Code::limit,
                 where + ": " + std::to_string(width) + "x" + std::to_string(height) +
                     " pixels, sides of at most 65535 are read",
                 "make the picture smaller"};
  const auto [rows, raw] = rows_and_bytes(png, info);
  if (raw / kMaxInflated > decoder.packed) return damaged("it ends early");
  if (!set_up(png, info)) return damaged(decoder.message);
  const std::size_t row_bytes = png_get_rowbytes(png, info);
  if (row_bytes != std::size_t{width} * 3)
    return Error{Code::unsupported, where + ": PNG of an unknown pixel form", "convert it to 8-bit RGB"};
  Picture picture;
  picture.height = static_cast<int>(height);
  picture.width = static_cast<int>(width);
  picture.pixels.resize(height * row_bytes);
  if (!read_pixels(png, info, picture.pixels.data(), row_bytes) && decoder.rows < rows) return damaged(decoder.message);
  return picture;
}

}  // namespace

// The header chunk is the first, and its sides lie at its beginning.
Result<std::pair<int, int>> png_size(std::string_view bytes, const std::string& where) {
  const auto header = PngChunks(bytes).next();
  if (!header || header->name != "IHDR" || header->data.size() < 13 || !header->sum_is_right)
    return Error{Code::bad_input, where + ": damaged PNG: no header", "copy or make the picture again"};
  const auto* sides = reinterpret_cast<png_const_bytep>(header->data.data());
  const png_uint_32 width = png_get_uint_32(sides), height = png_get_uint_32(sides + 4);
  FATHOM_TRY_VOID(check_picture_size(height, width, where));
  return std::pair(static_cast<int>(height), static_cast<int>(width));
}

Result<Picture> decode_png(std::string_view bytes, const std::string& where) {
  Decoder decoder;
  if (!gather(bytes, decoder))
    return Error{Code::bad_input, where + ": damaged PNG: a wrong checksum", "copy or make the picture again"};
  if (decoder.packed == 0)
    return Error{Code::bad_input, where + ": damaged PNG: it ends early", "copy or make the picture again"};
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
