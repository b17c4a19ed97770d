#include "api/opened.h"

namespace fathom::api {

Result<std::shared_ptr<Opened>> open_bundle(const std::filesystem::path& folder,
                                            const engine::RuntimeOptions& options) {
  auto opened = std::make_shared<Opened>();
  FATHOM_TRY(auto bundle, Bundle::open(folder, options.weights));
  FATHOM_TRY(opened->model, Model::load(std::move(bundle)));
  if (const auto data = opened->bundle().fathom().find("data"); data != opened->bundle().fathom().end())
    opened->pairs = data->is_object() && data->contains("pairs") && (*data)["pairs"] == true;
  FATHOM_TRY(opened->runtime, engine::Runtime::create(options));
  FATHOM_TRY(opened->plan, engine::Plan::compile(opened->model, *opened->runtime));
  if (opened->spec().modality == Modality::text) {
    FATHOM_TRY(auto tokenizer, data::Tokenizer::read(folder));
    if (tokenizer.model_size() > opened->spec().vocab) {
      return Error{Code::corrupt_bundle,
                   "bundle '" + folder.string() + "': tokenizer.json has " + std::to_string(tokenizer.model_size()) +
                       " pieces, config.json allows " + std::to_string(opened->spec().vocab),
                   "fit the bundle again"};
    }
    opened->tokenizer = std::move(tokenizer);
  } else if (opened->bundle().fathom().contains("model")) {
    FATHOM_TRY(opened->preprocessing, data::read_preprocessing(folder));
  }
  return opened;
}

}  // namespace fathom::api
