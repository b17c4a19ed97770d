// The orientation that a camera noted beside the pixels: found in JPEG's Exif segment (APP1) or PNG's eXIf chunk, and
// applied. Files lie: whatever is cut short, points outside or has another type counts as 1 (upright), never as an
// error, and no memory is taken for it. XMP's copy of the tag and PNG's text profiles are not read.
// Thread rule: pure functions. Source: Exif 2.32 (tag 0x0112), TIFF 6.0, PNG 3rd edition (eXIf).
#pragma once

#include <string_view>

#include "data/picture.h"

namespace fathom::data {

// 1 (upright) to 8 of the whole file's bytes.
int jpeg_orientation(std::string_view bytes);
int png_orientation(std::string_view bytes);
// Turns and mirrors the pixels so that the picture stands upright: as Pillow's ImageOps.exif_transpose.
void apply_orientation(Picture& picture, int orientation);

}  // namespace fathom::data
