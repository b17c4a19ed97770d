#include "data/dataset_record.h"

namespace fathom::data {
namespace {

constexpr std::int64_t kMost = std::int64_t{1} << 53;

Result<std::int64_t> optional_int(const Json& object, const char* key, std::int64_t high, const std::string& where) {
  if (!object.contains(key)) return std::int64_t{0};
  return json_int(object, key, 0, high, where);
}

}  // namespace

Json record_of(const Dataset& dataset, const std::filesystem::path& folder, const ReadOptions& options) {
  Json rows = Json::object();
  for (const Part part : kAllParts) rows[part_name(part)] = dataset.part(part).size();
  Json json = {{"task", task_name(dataset.task)},
               {"folder", folder.string()},
               {"fingerprint", dataset.fingerprint},
               {"rows", rows},
               {"seed", options.seed}};
  for (const Part part : kAllParts)
    if (!dataset.part(part).files.empty()) json["pictures"] = "files";  // what the fingerprint is of
  if (options.max_train > 0) json["max_train"] = options.max_train;
  if (options.image_height > 0) json["image_height"] = options.image_height;
  if (options.image_width > 0) json["image_width"] = options.image_width;
  if (!options.label_column.empty()) json["label_column"] = options.label_column;
  if (!options.text_columns.empty()) json["text_columns"] = options.text_columns;
  if (options.header) json["header"] = *options.header;
  if (options.pairs) json["pairs"] = true;
  return json;
}

Result<ReadOptions> recorded_options(const Json& fathom, const std::string& where) {
  if (fathom.contains("data")) {
    FATHOM_TRY(const RecordedData recorded, recorded_data(fathom, where));
    return recorded.options;
  }
  ReadOptions out;
  const Json* model = json_find(fathom, "model");
  const Json* shape = model == nullptr ? nullptr : json_find(*model, "spec");
  const Json* modality = shape == nullptr ? nullptr : json_find(*shape, "modality");
  if (modality != nullptr && *modality == "image") out.task = Task::image_classification;
  return out;
}

Result<RecordedData> recorded_data(const Json& fathom, const std::string& where) {
  const auto data = fathom.find("data");
  if (data == fathom.end() || !data->is_object())
    return Error{Code::corrupt_bundle, where + ": no \"data\": what the bundle was fitted on is not recorded",
                 "give the folder with --data"};
  const std::string at = where + ": data";
  RecordedData out;
  FATHOM_TRY(const std::string task, json_string(*data, "task", at));
  FATHOM_TRY(out.options.task, parse_task(task));
  FATHOM_TRY(const std::string folder, json_string(*data, "folder", at));
  out.folder = folder;
  FATHOM_TRY(out.fingerprint, json_string(*data, "fingerprint", at));
  FATHOM_TRY(const std::int64_t seed, json_int(*data, "seed", 0, kMost, at));
  out.options.seed = static_cast<std::uint64_t>(seed);
  FATHOM_TRY(const std::int64_t most, optional_int(*data, "max_train", kMost, at));
  out.options.max_train = static_cast<std::size_t>(most);
  FATHOM_TRY(const std::int64_t height, optional_int(*data, "image_height", 4096, at));
  FATHOM_TRY(const std::int64_t width, optional_int(*data, "image_width", 4096, at));
  out.options.image_height = static_cast<int>(height);
  out.options.image_width = static_cast<int>(width);
  if (data->contains("label_column")) {
    FATHOM_TRY(out.options.label_column, json_string(*data, "label_column", at));
  }
  if (data->contains("pairs")) {
    if (!(*data)["pairs"].is_boolean())
      return Error{Code::corrupt_bundle, at + ": pairs is not true or false", "fit the bundle again"};
    out.options.pairs = (*data)["pairs"].get<bool>();
  }
  out.pictures_are_files = data->contains("pictures");
  if (data->contains("header")) {
    FATHOM_TRY(out.options.header, json_bool(*data, "header", at));
  }
  if (!data->contains("text_columns")) return out;
  const Json& columns = (*data)["text_columns"];
  for (const Json& column : columns) {
    if (!columns.is_array() || !column.is_string())
      return Error{Code::corrupt_bundle, at + ": text_columns is not a list of names", "fit the bundle again"};
    out.options.text_columns.push_back(column.get<std::string>());
  }
  return out;
}

}  // namespace fathom::data
