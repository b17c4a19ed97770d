#include "eval/recorded_data.h"

namespace fathom::eval {
namespace {

constexpr std::int64_t kMost = std::int64_t{1} << 53;

Result<std::int64_t> optional_int(const Json& object, const char* key, std::int64_t high, const std::string& where) {
  if (!object.contains(key)) return std::int64_t{0};
  return json_int(object, key, 0, high, where);
}

}  // namespace

Result<RecordedData> recorded_data(const Json& fathom, const std::string& where) {
  const auto data = fathom.find("data");
  if (data == fathom.end() || !data->is_object())
    return Error{Code::corrupt_bundle, where + ": no \"data\": what the bundle was fitted on is not recorded",
                 "give the folder with --data"};
  const std::string at = where + ": data";
  RecordedData out;
  FATHOM_TRY(const std::string task, json_string(*data, "task", at));
  FATHOM_TRY(out.options.task, data::parse_task(task));
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
    if (!(*data)["pairs"].is_boolean()) return Error{Code::corrupt_bundle, at + ": pairs is not true or false", "fit the bundle again"};
    out.options.pairs = (*data)["pairs"].get<bool>();
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

Result<EvalData> read_eval_data(const Json& fathom, const std::filesystem::path& given, const std::string& where) {
  FATHOM_TRY(const RecordedData recorded, recorded_data(fathom, where));
  EvalData out;
  out.folder = given.empty() ? recorded.folder : given;
  out.seed = recorded.options.seed;
  auto dataset = data::read_dataset(out.folder, recorded.options);
  if (!dataset) {
    Error error = dataset.error();
    if (given.empty() && error.code == Code::io) error.hint = "the folder used at fit is gone: give it with --data";
    return error;
  }
  out.dataset = std::move(dataset).value();
  if (out.dataset.fingerprint == recorded.fingerprint) return out;
  if (given.empty())
    return Error{Code::bad_input,
                 "'" + out.folder.string() + "' is not the data the bundle was fitted on: fingerprint " +
                     out.dataset.fingerprint.substr(0, 12) + ", recorded " + recorded.fingerprint.substr(0, 12),
                 "to evaluate on it all the same, name it with --data; its test rows may have been trained on"};
  out.note = "evaluated on other data than was fitted";
  return out;
}

}  // namespace fathom::eval
