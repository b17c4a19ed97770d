#include "eval/recorded_data.h"

#include "data/dataset_record.h"
#include "data/labels.h"

namespace fathom::eval {

namespace {

// The test rows of `given` among the splits that the bundle was fitted on.
Result<EvalData> beside_fitted(const Json& fathom, EvalData given, const std::string& where) {
  const std::string what = "'" + given.folder.string() + "' holds a test split alone; ";
  if (!fathom.contains("data"))
    return Error{Code::bad_input, what + "thresholds need other rows, and the bundle was fitted on none",
                 "put a train file beside it: tune and calibrate splits are carved out of it"};
  auto fitted = read_eval_data(fathom, {}, where);
  if (!fitted) return fitted.error().within(what + "thresholds are chosen on the data of fit");
  data::Split test = std::move(given.dataset.part(data::Part::test));
  FATHOM_TRY(const auto classes, data::classes_by_name(given.dataset.label_names, fitted->dataset.label_names));
  for (std::int32_t& label : test.labels) label = classes[static_cast<std::size_t>(label)];
  fitted->dataset.part(data::Part::test) = std::move(test);
  fitted->dataset.fingerprint = given.dataset.fingerprint;
  fitted->folder = given.folder;
  fitted->note = "test rows of another folder; thresholds were chosen on the data of fit";
  return fitted;
}

}  // namespace

Result<EvalData> read_eval_data(const Json& fathom, const std::filesystem::path& given, const std::string& where,
                                bool test_alone) {
  data::RecordedData recorded;
  if (!given.empty() && !fathom.contains("data")) {
    FATHOM_TRY(recorded.options, data::recorded_options(fathom, where));
  } else {
    FATHOM_TRY(recorded, data::recorded_data(fathom, where));
  }
  EvalData out;
  out.folder = given.empty() ? recorded.folder : given;
  out.seed = recorded.options.seed;
  recorded.options.test_alone = test_alone && !given.empty();
  auto dataset = data::read_dataset(out.folder, recorded.options);
  if (!dataset) {
    Error error = dataset.error();
    if (given.empty() && error.code == Code::io) error.hint = "the folder used at fit is gone: give it with --data";
    return error;
  }
  out.dataset = std::move(dataset).value();
  if (out.dataset.part(data::Part::train).size() == 0) return beside_fitted(fathom, std::move(out), where);
  if (out.dataset.fingerprint == recorded.fingerprint) return out;
  if (!recorded.pictures_are_files && !out.dataset.part(data::Part::test).files.empty()) {
    out.note =
        "pictures in files: whether they are those that were fitted is not known, as an older version recorded them";
    return out;
  }
  if (given.empty())
    return Error{Code::bad_input,
                 "'" + out.folder.string() + "' is not the data the bundle was fitted on: fingerprint " +
                     out.dataset.fingerprint.substr(0, 12) + ", recorded " + recorded.fingerprint.substr(0, 12),
                 "to evaluate on it all the same, name it with --data; its test rows may have been trained on"};
  out.note = "evaluated on other data than was fitted";
  return out;
}

}  // namespace fathom::eval
