// The orientation that a camera or a program noted beside the pixels, found where Pillow looks for it, and applied: in
// JPEG's Exif segments (APP1; several are one), in PNG's eXIf chunk or, without one, its "Raw profile type exif" text;
// where these have no such tag, in XMP. Files lie: whatever is cut short, points outside or has another type counts as
// 1 (upright), never as an error, and at most 1 MiB is taken for it. Thread rule: pure functions. Source: Exif 2.32
// (tag 0x0112), TIFF 6.0, PNG 3rd edition (eXIf).
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
