// Labelled examples with explicit, disjoint, seeded splits. Reading never merges train and test files,
// and no data set's name occurs here: a folder is read by general rules (docs/formats/datasets.md).
// Thread rule: plain values. Errors: bad_input names file, line or record, and what was expected.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace fathom::data {

enum class Task { text_classification, image_classification };
Result<Task> parse_task(const std::string& name);  // "text-classification" | "image-classification"
const char* task_name(Task task);

// A picture in a file of its own. It is decoded when a model asks for it, by that model's preprocessing (fit_pictures):
// its pixels are held by nobody.
struct PictureFile {
  std::string path;
  std::string sha256;         // 32 bytes, of the file
  int height = 0, width = 0;  // as the header says, before it is turned upright
};

// One split. Exactly one of `texts`, `pixels` and `files` is filled.
struct Split {
  std::vector<std::string> texts;        // UTF-8
  std::vector<std::string> second;       // pairs of texts: the second of each; else empty
  int height = 0, width = 0;             // of every picture; of `files`: what a new model of them reads
  std::vector<std::uint8_t> pixels;      // [count, height, width, 3], RGB
  std::vector<PictureFile> files;        // of class folders and picture folders
  std::vector<std::int32_t> labels;      // 0..classes-1
  std::vector<std::int32_t> complexity;  // generated data only: known needed depth of each example; else empty
  std::size_t size() const { return labels.size(); }
  const std::uint8_t* picture(std::size_t i) const { return pixels.data() + i * picture_bytes(); }
  std::size_t picture_bytes() const { return static_cast<std::size_t>(height) * static_cast<std::size_t>(width) * 3; }
};

enum class Part { train, tune, calibrate, test };
inline constexpr std::array<Part, 4> kAllParts = {Part::train, Part::tune, Part::calibrate, Part::test};
const char* part_name(Part part);  // "train" "tune" "calibrate" "test"

struct Dataset {
  Task task = Task::text_classification;
  std::vector<std::string> label_names;
  std::array<Split, 4> parts;      // indexed by Part
  bool numbered_folders = false;   // class folders named by numbers that have two orders (2 before 10, or 10 before 2),
                                   // and no list of names that says which
  std::string fingerprint;         // SHA-256 over task, labels and every part's content and order
  std::vector<std::string> notes;  // which file became what, header found or not, files ignored
  const Split& part(Part p) const { return parts[static_cast<std::size_t>(p)]; }
  Split& part(Part p) { return parts[static_cast<std::size_t>(p)]; }
};

struct ReadOptions {
  Task task = Task::text_classification;
  std::vector<std::string> text_columns;  // names or 1-based numbers; empty: found by general rules
  std::string label_column;               // likewise
  std::optional<bool> header;             // CSV and TSV: the first row is the header, or is not; nothing: found
  bool pairs = false;                     // two text columns are one pair of texts, not one text
  // What a new model reads of pictures in files; 0: found (class_folders.h). Others read them their own way.
  int image_height = 0, image_width = 0;
  bool test_alone = false;      // a folder with nothing but a test split will do: then the other parts are empty
  bool check_pictures = false;  // decode every picture once, so that a damaged one is said before work begins
  std::uint64_t seed = 1;       // of the carved splits
  std::size_t max_train = 0;    // 0: all rows
};

// Reads a data folder; or, without labels, a .txt file of texts, one a line (of pairs: a TAB between the two), or a
// folder of JPEG and PNG pictures with no split in it: then label_names is empty, every label is 0 and means nothing,
// and there is no test split. In a data folder: where no tune/calibrate file exists they are carved out of train,
// seeded: tune = calibrate = clamp(train/8, 1, 8000) rows each. Where only a dev/validation file exists besides train,
// it is the test split.
Result<Dataset> read_dataset(const std::filesystem::path& folder, const ReadOptions& options);

// --- generated data ("relay" and "strip": relay.h, relay_strip.h); complexity = distance of the deciding evidence ---
struct GenerateOptions {
  Task task = Task::text_classification;
  std::uint64_t seed = 1;
  std::size_t train = 0, tune = 0, calibrate = 0, test = 0;  // rows; 0: the task's default
  int longest = 0;  // texts: above 0 documents of up to so many words (tally.h), whose complexity is not known
};
// Writes <folder>/{train,tune,calibrate,test}.csv (text,label[,complexity]) or IDX files, and dataset.toml.
Status generate_dataset(const std::filesystem::path& folder, const GenerateOptions& options);

}  // namespace fathom::data
