// One split as its files have it: content, raw label values, and where each row stands.
// Thread rule: plain values.
#pragma once

#include <string>
#include <vector>

#include "data/dataset.h"

namespace fathom::data {

struct RawPart {
  Split split;                       // labels still empty
  std::vector<std::string> labels;   // as written
  std::vector<std::string> files;    // quoted file names
  std::vector<std::uint32_t> file;   // of each row: index into files
  std::vector<std::uint64_t> place;  // of each row: line or record, from 1; 0: the file itself
  const char* place_name = "line";

  std::string where(std::size_t row) const {
    const std::string& name = files[file[row]];
    return place[row] == 0 ? name : name + " " + place_name + " " + std::to_string(place[row]);
  }
};

}  // namespace fathom::data
