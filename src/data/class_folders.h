// A folder with one folder of JPEG/PNG pictures for each class; the folder's name is the label.
// Errors: bad_input (no class folders, no pictures, a damaged picture: by name), limit. Thread rule: pure functions.
#pragma once

#include "base/file.h"
#include "data/raw_part.h"

namespace fathom::data {

bool has_class_folders(const fs::path& folder);  // at least one folder that holds a picture
// Pictures are resized to height x width; 0: the first picture's size, at most 64 a side.
Result<RawPart> read_class_folders(const fs::path& folder, int height, int width);

}  // namespace fathom::data
