#include "eval/recorded_data.h"

#include "data/dataset_record.h"

namespace fathom::eval {

Result<EvalData> read_eval_data(const Json& fathom, const std::filesystem::path& given, const std::string& where) {
  data::RecordedData recorded;
  if (!given.empty() && !fathom.contains("data")) {
    FATHOM_TRY(recorded.options, data::recorded_options(fathom, where));
  } else {
    FATHOM_TRY(recorded, data::recorded_data(fathom, where));
  }
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
