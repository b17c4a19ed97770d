#include "data/dataset_record.h"

namespace fathom::data {

Json record_of(const Dataset& dataset, const std::filesystem::path& folder, const ReadOptions& options) {
  Json rows = Json::object();
  for (const Part part : kAllParts) rows[part_name(part)] = dataset.part(part).size();
  Json json = {{"task", task_name(dataset.task)}, {"folder", folder.string()}, {"fingerprint", dataset.fingerprint},
               {"rows", rows}, {"seed", options.seed}};
  if (options.max_train > 0) json["max_train"] = options.max_train;
  if (options.image_height > 0) json["image_height"] = options.image_height;
  if (options.image_width > 0) json["image_width"] = options.image_width;
  if (!options.label_column.empty()) json["label_column"] = options.label_column;
  if (!options.text_columns.empty()) json["text_columns"] = options.text_columns;
  if (options.pairs) json["pairs"] = true;
  return json;
}

}  // namespace fathom::data
