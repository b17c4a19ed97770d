#include "data/dataset.h"

#include <algorithm>
#include <set>

#include "base/sha256.h"
#include "data/cifar.h"
#include "data/class_folders.h"
#include "data/columns.h"
#include "data/dataset_folder.h"
#include "data/idx.h"
#include "data/labels.h"
#include "data/raw_part.h"
#include "data/split.h"
#include "data/table.h"
#include "data/text_lines.h"
#include "data/utf8.h"

namespace fathom::data {
namespace {

using RawParts = std::array<RawPart, 4>;

std::string joined_text(const Row& row, const std::vector<std::size_t>& columns) {
  std::string text;
  for (const std::size_t c : columns) {
    if (row.fields[c].empty()) continue;
    if (!text.empty()) text += ' ';
    text += row.fields[c];
  }
  return text;
}

std::string sound(std::string text) { return is_utf8(text) ? std::move(text) : repair_utf8(text); }

// What JSON lines may have in a column that is used: text (null is an empty one), and a label in every row.
Status check_cells(const Table& table, const Columns& columns, const Row& row) {
  if (row.cells.empty()) return {};
  const auto fault = [&](std::size_t c, const char* what, const char* hint) {
    return Error{Code::bad_input,
                 table.where + " line " + std::to_string(row.line) + ": '" + table.header[c] + "' " + what, hint};
  };
  std::vector<std::size_t> used = columns.text;
  used.push_back(columns.label);
  if (columns.complexity) used.push_back(*columns.complexity);
  for (const std::size_t c : used) {
    if (row.cells[c] == Cell::nested) return fault(c, "is a list or object, expected text or a number", "");
    if (row.fields[c].find('\0') != std::string::npos) return fault(c, "holds a NUL character", "remove it");
    if (row.cells[c] == Cell::absent && (c == columns.label || columns.text.size() == 1))
      return fault(c, "is missing", "every line needs its text and its label");
    if (row.cells[c] == Cell::null && c == columns.label) return fault(c, "is null", "every line needs a label");
  }
  return {};
}

Result<RawPart> rows_of(const Table& table, const Columns& columns, bool pairs) {
  RawPart part;
  part.files = {table.where};
  if (pairs && columns.text.size() != 2)
    return Error{Code::bad_input,
                 table.where + ": a pair needs two text columns, there are " + std::to_string(columns.text.size()) +
                     " (" + describe_columns(table, columns) + ")",
                 "name the two with --text-columns FIRST,SECOND"};
  const auto take = [&](const Row& row) -> Status {
    FATHOM_TRY_VOID(check_cells(table, columns, row));
    part.split.texts.push_back(sound(pairs ? row.fields[columns.text[0]] : joined_text(row, columns.text)));
    if (pairs) part.split.second.push_back(sound(row.fields[columns.text[1]]));
    part.labels.push_back(row.fields[columns.label]);
    part.file.push_back(0);
    part.place.push_back(row.line);
    if (!columns.complexity) return {};
    const std::string& depth = row.fields[*columns.complexity];
    if (!is_integer(depth) || depth.size() > 6 || depth[0] == '-')
      return Error{
          Code::bad_input,
          part.where(part.labels.size() - 1) + ": complexity '" + depth + "' is not a whole number of 0 to 999999", ""};
    part.split.complexity.push_back(std::stoi(depth));
    return {};
  };
  FATHOM_TRY_VOID(table.visit(take));
  return part;
}

// Of the parts that have files: train, or test where it is alone.
std::size_t first_part(const FolderPlan& plan) {
  std::size_t part = 0;
  while (plan.parts[part].files.empty()) ++part;
  return part;
}

Status read_tables(const FolderPlan& plan, const ReadOptions& options, RawParts& raw, std::vector<std::string>& notes) {
  const auto& text = options.text_columns.empty() ? plan.toml.text_columns : options.text_columns;
  const std::string& label = options.label_column.empty() ? plan.toml.label_column : options.label_column;
  const std::optional<bool> header = options.header ? options.header : plan.toml.header;
  std::vector<std::string> wanted = text;
  wanted.push_back(label);
  if (label.empty()) wanted.pop_back();
  Table train;  // rows moved out, header kept
  Columns train_columns;
  for (const Part part : kAllParts) {
    const auto index = static_cast<std::size_t>(part);
    if (plan.parts[index].files.empty()) continue;
    FATHOM_TRY(Table table, read_table(plan.parts[index].files.front()));
    Columns columns;
    if (index == first_part(plan)) {
      FATHOM_TRY_VOID(find_header(table, wanted, header));
      FATHOM_TRY(columns, choose_columns(table, text, label));
      notes.push_back(describe_columns(table, columns));
    } else {
      FATHOM_TRY_VOID(find_header_as(table, train, wanted, header));
      FATHOM_TRY(columns, same_columns(train, train_columns, table, part_name(part)));
    }
    FATHOM_TRY(raw[index], rows_of(table, columns, options.pairs));
    if (index == first_part(plan)) {
      train_columns = columns;
      train = std::move(table);
      train.text.clear();
      train.text.shrink_to_fit();
    }
  }
  return {};
}

Result<RawPart> read_pictures(FileKind kind, const PartFiles& files, const ReadOptions& options,
                              std::vector<std::string>& notes) {
  if (kind == FileKind::idx) return read_idx_part(files.files.front(), files.labels, files.complexity);
  if (kind == FileKind::cifar) return read_cifar_part(files.files);
  return read_class_folders(files.files.front(), options.check_pictures, notes);
}

Status read_images(const FolderPlan& plan, const ReadOptions& options, RawParts& raw, std::vector<std::string>& notes) {
  int height = 0, width = 0;  // of the first part
  for (const Part part : kAllParts) {
    const auto index = static_cast<std::size_t>(part);
    if (plan.parts[index].files.empty()) continue;
    FATHOM_TRY(raw[index], read_pictures(plan.kind, plan.parts[index], options, notes));
    Split& split = raw[index].split;
    if (height == 0 && !split.files.empty())
      choose_picture_size(split, options.image_height, options.image_width, notes);
    else if (!split.files.empty())
      split.height = height, split.width = width;
    if (height == 0) {
      height = split.height;
      width = split.width;
      notes.push_back("pictures of " + std::to_string(height) + "x" + std::to_string(width));
    }
    if (split.height != height || split.width != width)
      return Error{Code::bad_input,
                   raw[index].files.front() + ": pictures of " + std::to_string(split.height) + "x" +
                       std::to_string(split.width) + ", but train has " + std::to_string(height) + "x" +
                       std::to_string(width),
                   "all splits need pictures of one size"};
  }
  return {};
}

// Whether whole numbers stand in another order as texts.
bool has_two_orders(const std::vector<std::string>& labels) {
  const std::set<std::string> by_bytes(labels.begin(), labels.end());
  if (!std::all_of(by_bytes.begin(), by_bytes.end(), [](const auto& label) { return is_integer(label); })) return false;
  return !std::is_sorted(by_bytes.begin(), by_bytes.end(),
                         [](const auto& a, const auto& b) { return std::stoll(a) < std::stoll(b); });
}

Status map_labels(const FolderPlan& plan, RawParts& raw, Dataset& dataset) {
  const RawPart& train = raw[first_part(plan)];
  for (const RawPart& part : raw)
    for (std::size_t i = 0; i < part.labels.size(); ++i)
      if (part.labels[i].find_first_not_of(" \t\r\n") == std::string::npos)
        return Error{Code::bad_input, part.where(i) + ": an empty label", "give every row a label"};
  FATHOM_TRY(const LabelMap map, LabelMap::make(train.labels, plan.label_names, train.files.front(), plan.names_from,
                                                first_part(plan) == 0 ? 2 : 1));
  dataset.numbered_folders =
      plan.kind == FileKind::class_folders && plan.label_names.empty() && has_two_orders(train.labels);
  dataset.label_names = map.names();
  for (const Part part : kAllParts) {
    RawPart& from = raw[static_cast<std::size_t>(part)];
    for (std::size_t i = 0; i < from.labels.size(); ++i) {
      const std::int32_t label = map.find(from.labels[i]);
      if (label < 0)
        return Error{Code::bad_input,
                     from.where(i) + ": label '" + from.labels[i] + "' does not occur in train (" + map.known() + ")",
                     "correct the row, or add training rows of this class"};
      from.split.labels.push_back(label);
    }
    dataset.part(part) = std::move(from.split);
  }
  return {};
}

void note_repeats(Dataset& dataset) {
  std::set<std::pair<std::string_view, std::string_view>> seen;
  const auto row = [](const Split& split, std::size_t i) {
    return std::pair<std::string_view, std::string_view>(split.texts[i],
                                                         split.second.empty() ? std::string_view() : split.second[i]);
  };
  const Split &train = dataset.part(Part::train), &test = dataset.part(Part::test);
  for (std::size_t i = 0; i < train.texts.size(); ++i) seen.insert(row(train, i));
  std::size_t repeats = 0;
  for (std::size_t i = 0; i < test.texts.size(); ++i) repeats += seen.count(row(test, i));
  if (repeats > 0)
    dataset.notes.push_back(std::to_string(repeats) + " test rows have a text that also occurs in the training file");
}

void put_number(Sha256& hash, std::uint64_t value) {
  unsigned char bytes[8];
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<unsigned char>(value >> (8 * i));
  hash.update(bytes, 8);
}

void put_text(Sha256& hash, std::string_view text) {
  put_number(hash, text.size());
  hash.update(text);
}

// Every value is preceded by its length or is of fixed size, so two different data sets cannot feed the same bytes.
std::string fingerprint_of(const Dataset& dataset) {
  Sha256 hash;
  put_text(hash, task_name(dataset.task));
  put_number(hash, dataset.label_names.size());
  for (const std::string& name : dataset.label_names) put_text(hash, name);
  for (const Part part : kAllParts) {
    const Split& split = dataset.part(part);
    put_text(hash, part_name(part));
    put_number(hash, split.size());
    for (const std::int32_t label : split.labels) put_number(hash, static_cast<std::uint64_t>(label));
    put_number(hash, split.complexity.size());
    for (const std::int32_t depth : split.complexity) put_number(hash, static_cast<std::uint64_t>(depth));
    for (const std::string& text : split.texts) put_text(hash, text);
    if (!split.second.empty()) put_text(hash, "pairs");
    for (const std::string& text : split.second) put_text(hash, text);
    if (!split.files.empty()) put_text(hash, "files");  // whose size is no part of the data
    for (const PictureFile& file : split.files) put_text(hash, file.sha256);
    put_number(hash, split.files.empty() ? static_cast<std::uint64_t>(split.height) : 0);
    put_number(hash, split.files.empty() ? static_cast<std::uint64_t>(split.width) : 0);
    hash.update(split.pixels.data(), split.pixels.size());
  }
  return hash.hex();
}

Status check_options(const ReadOptions& options) {
  for (const int side : {options.image_height, options.image_width})
    if (side < 0 || side > 1024)
      return Error{Code::usage, "image size " + std::to_string(side) + " is out of range 0..1024",
                   "give a size of 1 to 1024 (0: the pictures' own)"};
  if (options.pairs && options.task != Task::text_classification)
    return Error{Code::usage, "--pairs is for texts, the task is image-classification", "leave it out"};
  return {};
}

// A file of texts, or a folder in which pictures lie and nothing that a split could be made of.
bool is_unlabelled(const fs::path& path, Task task) {
  std::error_code ignored;
  if (path.extension() == ".txt" && fs::is_regular_file(path, ignored)) return true;
  if (task != Task::image_classification || !has_pictures(path) || fs::exists(path / "dataset.toml", ignored))
    return false;
  return !has_class_folders(path) && !holds_splits(path, task);
}

// No labels and no test split; tune and calibrate are carved.
Result<Dataset> read_unlabelled(const fs::path& path, const ReadOptions& options) {
  Dataset dataset;
  dataset.task = options.task;
  Split& train = dataset.part(Part::train);
  std::error_code ignored;
  const bool pictures = fs::is_directory(path, ignored);
  if (pictures) {
    FATHOM_TRY(train, read_picture_folder(path, options.check_pictures, dataset.notes));
    choose_picture_size(train, options.image_height, options.image_width, dataset.notes);
  } else if (options.task != Task::text_classification) {
    return Error{Code::bad_input, "'" + path.string() + "' is a file, pictures come in a folder", "give the folder"};
  } else {
    FATHOM_TRY(train.texts, read_text_lines(path));
    if (options.pairs) FATHOM_TRY_VOID(split_pairs(train.texts, train.second, "'" + path.string() + "'"));
    train.labels.assign(train.texts.size(), 0);  // unknown: label_names is empty
  }
  dataset.notes.push_back(path.filename().string() + ": " + std::to_string(train.size()) +
                          (pictures        ? " pictures"
                           : options.pairs ? " pairs of texts"
                                           : " texts") +
                          " without labels");
  FATHOM_TRY_VOID(carve_splits(dataset, options.seed, options.max_train));
  dataset.fingerprint = fingerprint_of(dataset);
  return dataset;
}

}  // namespace

Result<Task> parse_task(const std::string& name) {
  for (const Task task : {Task::text_classification, Task::image_classification})
    if (name == task_name(task)) return task;
  return Error{Code::usage, "unknown task '" + name + "'", "known tasks: text-classification, image-classification"};
}

const char* task_name(Task task) {
  return task == Task::text_classification ? "text-classification" : "image-classification";
}

const char* part_name(Part part) {
  constexpr std::array kNames = {"train", "tune", "calibrate", "test"};
  return kNames[static_cast<std::size_t>(part)];
}

Result<Dataset> read_dataset(const fs::path& folder, const ReadOptions& options) {
  FATHOM_TRY_VOID(check_options(options));
  if (is_unlabelled(folder, options.task)) return read_unlabelled(folder, options);
  FATHOM_TRY(const FolderPlan plan, plan_folder(folder, options.task, options.test_alone));
  Dataset dataset;
  dataset.task = options.task;
  RawParts raw;
  for (const Part part : kAllParts)
    for (const fs::path& file : plan.parts[static_cast<std::size_t>(part)].files)
      dataset.notes.push_back(std::string(part_name(part)) + ": " + file.filename().string());
  dataset.notes.insert(dataset.notes.end(), plan.notes.begin(), plan.notes.end());
  if (options.task == Task::text_classification)
    FATHOM_TRY_VOID(read_tables(plan, options, raw, dataset.notes));
  else
    FATHOM_TRY_VOID(read_images(plan, options, raw, dataset.notes));
  FATHOM_TRY_VOID(map_labels(plan, raw, dataset));
  note_repeats(dataset);
  if (first_part(plan) == 0) FATHOM_TRY_VOID(carve_splits(dataset, options.seed, options.max_train));
  dataset.fingerprint = fingerprint_of(dataset);
  return dataset;
}

}  // namespace fathom::data
