#include "train/part_reader.h"

#include "data/labels.h"

namespace fathom::train {

Result<PartReader> PartReader::open(const std::filesystem::path& bundle, const ModelSpec& spec) {
  PartReader out(spec);
  if (spec.modality == Modality::text) {
    FATHOM_TRY(out.tokenizer_, data::Tokenizer::read(bundle));
  } else {
    FATHOM_TRY(out.how_, data::read_preprocessing(bundle));
  }
  return out;
}

Result<Encoded> PartReader::read(const data::Dataset& dataset, data::Part part, bool labelled) const {
  data::Split split = dataset.part(part);
  if (labelled) {
    FATHOM_TRY(const auto classes, data::classes_by_name(dataset.label_names, spec_.label_names));
    for (auto& label : split.labels) label = classes[static_cast<std::size_t>(label)];
  }
  if (spec_.modality == Modality::image) {
    FATHOM_TRY(split.pixels, data::fit_pictures(split, split.size(), how_, spec_.image_height, spec_.image_width));
    split.height = spec_.image_height;
    split.width = spec_.image_width;
    split.files.clear();
  }
  return encode_part(split, spec_, tokenizer_ ? &*tokenizer_ : nullptr);
}

}  // namespace fathom::train
