// Writing of the generated data sets. Each part draws from a stream of its own, so parts never share examples other
// than by chance and the size of one part does not change another.
#include "base/file.h"
#include "data/dataset.h"
#include "data/idx.h"
#include "data/relay.h"
#include "data/relay_strip.h"
#include "data/relay_text.h"
#include "data/tally.h"

namespace fathom::data {
namespace {

constexpr std::size_t kMaxRows = 10'000'000;
constexpr std::array<std::size_t, 4> kTextRows = {100'000, 8'000, 8'000, 10'000};
constexpr std::array<std::size_t, 4> kTallyRows = {8'000, 500, 1'000, 2'000};
constexpr std::array<std::size_t, 4> kImageRows = {60'000, 6'000, 6'000, 10'000};

Random stream_of(std::uint64_t seed, const char* task, Part part) {
  return Random(seed, task, static_cast<std::uint64_t>(part) + 1);
}

RelayDistances distances_of(Part part) { return part == Part::train ? RelayDistances::even : RelayDistances::natural; }

Status write_text_part(const fs::path& folder, Part part, std::size_t rows, std::uint64_t seed) {
  Random random = stream_of(seed, "relay", part);
  std::string csv = "text,label,complexity\n";
  csv.reserve(rows * 80);
  for (std::size_t i = 0; i < rows; ++i) {
    const RelayExample example = draw_relay(random, distances_of(part));
    csv += relay_text(example);
    csv += ',';
    csv += kRelayNames[static_cast<std::size_t>(example.answer)];
    csv += ',' + std::to_string(example.distance) + '\n';
  }
  return write_file_atomic(folder / (std::string(part_name(part)) + ".csv"), csv);
}

Status write_tally_part(const fs::path& folder, Part part, std::size_t rows, std::uint64_t seed, int longest) {
  Random random = stream_of(seed, "tally", part);
  std::string csv = "text,label\n";
  for (std::size_t i = 0; i < rows; ++i) {
    const TallyText text = draw_tally(random, longest);
    csv += text.words + ',' + kRelayNames[static_cast<std::size_t>(text.answer)] + '\n';
  }
  return write_file_atomic(folder / (std::string(part_name(part)) + ".csv"), csv);
}

Status write_image_part(const fs::path& folder, Part part, std::size_t rows, std::uint64_t seed) {
  Random random = stream_of(seed, "strip", part);
  std::string pixels(rows * kStripBytes, '\0'), labels(rows, '\0'), complexity(rows, '\0');
  for (std::size_t i = 0; i < rows; ++i) {
    const RelayExample example = draw_relay(random, distances_of(part));
    draw_strip(example, random, reinterpret_cast<std::uint8_t*>(pixels.data()) + i * kStripBytes);
    labels[i] = static_cast<char>(example.answer);
    complexity[i] = static_cast<char>(example.distance);
  }
  const std::string name = part_name(part);
  FATHOM_TRY_VOID(write_file_atomic(folder / (name + "-images-idx4-ubyte"),
                                    idx_bytes({rows, kStripHeight, kStripWidth, 3}, pixels)));
  FATHOM_TRY_VOID(write_file_atomic(folder / (name + "-complexity-idx1-ubyte"), idx_bytes({rows}, complexity)));
  return write_file_atomic(folder / (name + "-labels-idx1-ubyte"), idx_bytes({rows}, labels));
}

std::string description(Task task, const char* rule, std::uint64_t seed,
                        const std::array<const char*, kRelayClasses>& names) {
  const bool text = task == Task::text_classification;
  std::string toml = std::string("# Generated: ") + rule + ", seed " + std::to_string(seed) + ".\n";
  toml += std::string("task = \"") + task_name(task) + "\"\n";
  if (text) toml += "text_columns = [\"text\"]\nlabel_column = \"label\"\n";
  toml += "label_names = [";
  for (std::size_t i = 0; i < names.size(); ++i) toml += std::string(i ? ", \"" : "\"") + names[i] + "\"";
  toml += "]\n";
  for (const Part part : kAllParts)
    toml += std::string(part_name(part)) + " = \"" + part_name(part) + (text ? ".csv" : "-images-idx4-ubyte") + "\"\n";
  return toml;
}

}  // namespace

Status generate_dataset(const fs::path& folder, const GenerateOptions& options) {
  const bool text = options.task == Task::text_classification, tally = text && options.longest > 0;
  const std::array<std::size_t, 4> wanted = {options.train, options.tune, options.calibrate, options.test};
  for (const Part part : kAllParts) {
    const std::size_t rows = wanted[static_cast<std::size_t>(part)];
    if (rows > kMaxRows)
      return Error{Code::usage, std::to_string(rows) + " rows of " + part_name(part) + " are out of range 0..10000000",
                   "ask for fewer rows (0: the default)"};
  }
  if (tally && options.longest < kTallyShortest)
    return Error{Code::usage, "texts of at most " + std::to_string(options.longest) + " words hold too little evidence",
                 "give at least " + std::to_string(kTallyShortest)};
  std::error_code code;
  fs::create_directories(folder, code);
  if (code)
    return Error{Code::io, "'" + folder.string() + "': cannot create the folder: " + code.message(),
                 "give another folder"};
  for (const Part part : kAllParts) {
    const auto index = static_cast<std::size_t>(part);
    const std::size_t rows = wanted[index] != 0 ? wanted[index]
                             : tally            ? kTallyRows[index]
                             : text             ? kTextRows[index]
                                                : kImageRows[index];
    FATHOM_TRY_VOID(tally  ? write_tally_part(folder, part, rows, options.seed, options.longest)
                    : text ? write_text_part(folder, part, rows, options.seed)
                           : write_image_part(folder, part, rows, options.seed));
  }
  const auto& names = text ? kRelayNames : kStripNames;
  std::string classes;
  for (const char* name : names) classes += std::string(name) + "\n";
  FATHOM_TRY_VOID(write_file_atomic(folder / "classes.txt", classes));
  // Last: a folder with a description is a finished one.
  return write_file_atomic(folder / "dataset.toml", description(options.task,
                                                                tally  ? "tally"
                                                                : text ? "relay"
                                                                       : "strip",
                                                                options.seed, names));
}

}  // namespace fathom::data
