// `fathom generate text|image|long -o FOLDER`: seeded data whose hard inputs really need depth (text, image) or length
// (long). The folder appears whole or not at all.
#include <cstdio>
#include <random>

#include "base/json.h"
#include "base/log.h"
#include "cli/flags.h"
#include "cli/steps.h"
#include "cli/verbs.h"

namespace fathom::cli {

Status generate_folder(const fs::path& folder, const data::GenerateOptions& options) {
  std::error_code ignored, failed;
  if (folder.has_parent_path()) fs::create_directories(folder.parent_path(), failed);
  fs::path partial;  // a name that no other process can have taken
  std::random_device random;
  do partial = folder.string() + ".partial-" + std::to_string(random());
  while (!failed && !fs::create_directory(partial, failed) && !failed);
  if (failed)
    return Error{Code::io, "'" + partial.string() + "': " + failed.message(), "choose a folder that can be written"};
  Status status = data::generate_dataset(partial, options);
  if (status) {
    fs::rename(partial, folder, failed);
    if (failed)
      status =
          Error{Code::io, "'" + folder.string() + "': " + failed.message(), "choose a folder that is not there yet"};
  }
  if (!status) fs::remove_all(partial, ignored);
  return status;
}

void add_generate(Frame& frame) {
  struct Options {
    std::string kind;
    fs::path out;
    data::GenerateOptions data = demo_data(data::Task::text_classification);
    int longest = 2046;
    bool json = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* verb = frame.verb("generate", "Write a seeded data set: text or image of known complexity, or long texts");
  verb->add_option("kind", options->kind, "text | image | long")
      ->required()
      ->check(CLI::IsMember({"text", "image", "long"}));
  verb->add_option("-o,--out", options->out, "Folder to make; must not be there yet")->required();
  verb->add_option("--seed", options->data.seed, "Seed; the same seed writes the same bytes")->capture_default_str();
  const auto rows = between(1, 10e6, "[1, 10000000]");
  verb->add_option("--train", options->data.train, "Rows to train on (long: 8000)")->check(rows)->capture_default_str();
  verb->add_option("--tune", options->data.tune, "Rows to choose settings on (long: 500)")
      ->check(rows)
      ->capture_default_str();
  verb->add_option("--calibrate", options->data.calibrate, "Rows to choose operating points on (long: 1000)")
      ->check(rows)
      ->capture_default_str();
  verb->add_option("--test", options->data.test, "Rows to measure on (long: 2000)")->check(rows)->capture_default_str();
  verb->add_option("--longest", options->longest,
                   "With long: words of the longest text; with CLS and SEP two tokens more")
      ->check(between(32, 65534, "[32, 65534]"))
      ->capture_default_str();
  add_json_flag(verb, options->json);
  frame.on(verb, [options, verb]() -> Result<int> {
    std::error_code ignored;
    if (fs::exists(options->out, ignored)) {
      return Error{Code::usage, "--out '" + options->out.string() + "' is already there",
                   "choose another folder, or remove that one"};
    }
    options->data.task = options->kind == "image" ? data::Task::image_classification : data::Task::text_classification;
    if (options->kind == "long") {
      options->data.longest = options->longest;
      const auto its_own = [verb](const char* flag,
                                  std::size_t& count) {  // 0: as many as the task has (data/generate.cpp)
        if (verb->count(flag) == 0) count = 0;
      };
      its_own("--train", options->data.train);
      its_own("--tune", options->data.tune);
      its_own("--calibrate", options->data.calibrate);
      its_own("--test", options->data.test);
    }
    FATHOM_TRY_VOID(generate_folder(options->out, options->data));
    const auto& d = options->data;
    if (options->json) {
      Json out = {{"folder", options->out.string()},
                  {"task", data::task_name(d.task)},
                  {"seed", d.seed},
                  {"train", d.train},
                  {"tune", d.tune},
                  {"calibrate", d.calibrate},
                  {"test", d.test}};
      std::printf("%s\n", out.dump().c_str());
    } else {
      std::printf("%s\n", options->out.c_str());
      say("wrote " + std::to_string(d.train + d.tune + d.calibrate + d.test) + " examples");
    }
    return 0;
  });
}

}  // namespace fathom::cli
