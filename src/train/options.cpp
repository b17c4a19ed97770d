#include "train/options.h"

#include <CLI/CLI.hpp>
#include <charconv>

namespace fathom::train {
namespace {

template <class T>
void put(Json& json, const char* key, const std::optional<T>& value) {
  if (value) json[key] = *value;
}

Status between(const char* flag, double value, double low, double high) {
  if (value >= low && value <= high) return {};
  const auto number = [](double x) { return Json(x).dump(); };
  return Error{
      Code::usage,
      std::string(flag) + " must be between " + number(low) + " and " + number(high) + ", got " + number(value),
      "see fathom-train --help"};
}

template <class T>
Status between(const char* flag, const std::optional<T>& value, double low, double high) {
  return value ? between(flag, static_cast<double>(*value), low, high) : Status{};
}

// "64" or "48x64".
Status parse_image_size(const std::string& text, FitOptions& o) {
  const std::size_t cross = text.find('x');
  const std::string height = text.substr(0, cross),
                    width = cross == std::string::npos ? height : text.substr(cross + 1);
  int sides[2] = {};
  for (const auto& [word, side] : {std::pair(&height, &sides[0]), std::pair(&width, &sides[1])}) {
    const auto read = std::from_chars(word->data(), word->data() + word->size(), *side);
    if (word->empty() || read.ec != std::errc() || read.ptr != word->data() + word->size() || *side < 1 || *side > 1024)
      return Error{Code::usage, "--image-size '" + text + "' is no size", "give one side or HEIGHTxWIDTH, 1 to 1024"};
  }
  o.image_height = sides[0];
  o.image_width = sides[1];
  return {};
}

Status check_ranges(const FitOptions& o) {
  FATHOM_TRY_VOID(between("--layers", o.layers, 2, 64));
  FATHOM_TRY_VOID(between("--hidden", o.hidden, 8, 4096));
  FATHOM_TRY_VOID(between("--heads", o.heads, 1, 64));
  FATHOM_TRY_VOID(between("--ffn", o.ffn, 8, 16384));
  FATHOM_TRY_VOID(between("--window", o.window, 0, 4096));
  FATHOM_TRY_VOID(between("--max-tokens", o.max_tokens, 2, 4096));
  FATHOM_TRY_VOID(between("--patch", o.patch, 1, 256));
  FATHOM_TRY_VOID(between("--vocab-size", o.vocab_size, 16, 1000000));
  FATHOM_TRY_VOID(between("--word-width", o.word_width, 1, 4095));
  FATHOM_TRY_VOID(between("--head-hidden", o.head_hidden, 0, 4096));
  FATHOM_TRY_VOID(between("--lr", o.rate, 1e-7, 1));
  FATHOM_TRY_VOID(between("--epochs", o.epochs, 0.01, 10000));
  FATHOM_TRY_VOID(between("--steps", o.steps, 1, 1e8));
  FATHOM_TRY_VOID(between("--batch-size", o.batch, 1, 65536));
  FATHOM_TRY_VOID(between("--dropout", o.dropout, 0, 0.9));
  FATHOM_TRY_VOID(between("--max-disagreement", o.max_disagreement, 0, 1));
  FATHOM_TRY_VOID(between("--threads", o.threads, 0, 1024));
  FATHOM_TRY_VOID(between("--checkpoint-every", o.checkpoint_every, 1, 1e9));
  if (o.hidden && o.heads && *o.hidden % *o.heads != 0) {
    return Error{Code::usage,
                 "--hidden " + std::to_string(*o.hidden) + " is not a multiple of --heads " + std::to_string(*o.heads),
                 "choose a width that divides evenly"};
  }
  if (o.attention == Attention::linear && o.window.value_or(0) > 0)
    return Error{Code::usage,
                 "--window " + std::to_string(*o.window) +
                     " goes with --attention softmax alone: linear attention sees every token",
                 "leave one of the two out"};
  return {};
}

}  // namespace

Result<CommandLine> parse_command_line(int argc, const char* const* argv) {
  CommandLine out;
  FitOptions& o = out.options;
  std::string task = "text-classification", norm, attention, pooling, data, output, states, state, teacher, image_size;
  CLI::App app{"fathom-train: trains an adaptive model from a data folder and writes a bundle"};
  CLI::Option* from_data = app.add_option("--data", data, "data folder (docs/formats/datasets.md)");
  CLI::Option* from_states =
      app.add_option("--states", states, "instead of --data: a folder of states that `fathom fit --from` wrote");
  from_states->excludes(from_data);
  app.add_option("--tune", o.tune,
                 "train the layers of the bundle in --out: exits (with exits), plain (its classifier alone), like (to "
                 "answer like --teacher, that it was made of; by default "
                 "3 epochs, batches of 32, rate 2e-4, no dropout)")
      ->check(CLI::IsMember({"exits", "plain", "like"}))
      ->excludes(from_states);
  app.add_option("--teacher", teacher,
                 "a bundle of whatever shape whose answers are learned beside the labels (with --tune like: instead of "
                 "them). A model from scratch reads its tokens "
                 "then, and learns its hidden states and, where both see all tokens by softmax, its attention too; "
                 "with words of its own (--vocab-size) or other "
                 "patches the answers alone");
  app.add_option("--state", state, "with --tune like: folder of the training state (default: fit/ in --out)");
  app.add_option(
      "--zeros", o.zeros,
      "with --tune like: share of the weights of every matrix of the layers that becomes zero while training, or 2:4");
  app.add_flag("--by-movement", o.zeros_by_movement,
               "with --zeros: what is zero goes on learning and comes back where training moves it away from zero");
  app.add_option("--int8-levels", o.int8_levels,
                 "with --tune like: train as int8 will compute, activations in 0 to this (255, or 127 on tiers without "
                 "an 8-bit dot product; 0: do not)")
      ->check(CLI::IsMember({0, 127, 255}));
  app.add_flag("--no-labels", o.no_labels, "with --tune: do not look at the data's labels");
  app.add_option("--image-size", image_size,
                 "size that a new model reads picture files at: 64, or height x width as 48x64 (default: the pictures' "
                 "own where all have one, else their median as a square, at most 64 a side)");
  app.add_option("--key", o.key, "")->group("");
  app.add_option("-o,--output,--out", output, "bundle folder to write; training state goes to its fit/")->required();
  app.add_option("--task", task, "text-classification (default) or image-classification");
  app.add_option("--recipe", o.recipe, "default, or paper (Algorithm 1 as printed)")
      ->check(CLI::IsMember({"default", "paper"}));
  app.add_option("--seed", o.seed, "of weights, order and splits (default 1)");
  app.add_option("--threads", o.threads, "worker threads; 0: all cores (default). Never changes the result");
  app.add_option("--text-columns", o.text_columns,
                 "names or 1-based numbers, by commas (default: by the file's header)")
      ->delimiter(',');
  app.add_option("--label-column", o.label_column, "name or 1-based number (default: by the file's header)");
  bool header = false;  // an optional would be set to false where the flag is not given
  const auto* header_flag =
      app.add_flag("--header,!--no-header", header,
                   "the first row of CSV and TSV files is a header, or is data (default: found)");
  app.add_flag("--pairs", o.pairs, "the two text columns are one pair of texts, not one text");
  app.add_option("--max-train", o.max_train, "use at most this many training rows; 0: all (default)");
  app.add_option("--max-disagreement", o.max_disagreement,
                 "share of answers that may differ from full depth's (default 0.005)");

  const auto shape = [&](const char* flag, auto& field, const char* help) {
    return app.add_option(flag, field, help)->group("Shape");
  };
  shape("--layers", o.layers, "transformer layers (default: text 6, pictures and generated data 12)");
  shape("--hidden", o.hidden, "width (default: text 128, pictures and generated data 64)");
  shape("--heads", o.heads, "attention heads; must divide --hidden (default 4)");
  shape("--ffn", o.ffn, "width of the feed-forward block (default 4 x hidden; generated data 2 x hidden)");
  shape("--window", o.window, "tokens seen to each side; 0: all (default; generated data 1)");
  shape("--attention", attention,
        "softmax (default), or linear: its cost grows with a text's length, not with the square of it")
      ->check(CLI::IsMember({"softmax", "linear"}));
  shape("--norm", norm, "pre (default) or post layer norm")->check(CLI::IsMember({"pre", "post"}));
  shape("--pooling", pooling, "what heads read: cls, or cls_mean (default; generated data cls)")
      ->check(CLI::IsMember({"cls", "cls_mean"}));
  shape("--max-tokens", o.max_tokens,
        "longer texts are cut (default: covers 98 % of them, at most 128; with --teacher: as it reads); a model never "
        "reads more than it was trained with");
  shape("--vocab-size", o.vocab_size,
        "word pieces to learn (default 8192; with --teacher: its words, none are learned)");
  shape("--word-width", o.word_width,
        "width of the word table's rows, projected to --hidden (default: --hidden); half of it halves most of a small "
        "model's file");
  shape("--patch", o.patch, "side of an image patch, pixels (default: the divisor of both sides nearest to an eighth)");
  shape("--head-hidden", o.head_hidden, "hidden width of exit heads; 0: linear (default: by --hidden)");

  const auto schedule = [&](const char* flag, auto& field, const char* help) {
    app.add_option(flag, field, help)->group("Schedule of the trunk");
  };
  schedule("--epochs", o.epochs,
           "passes over the training rows (default: text 12, pictures 10; generated data: 3600 steps)");
  schedule("--steps", o.steps, "optimiser steps; wins over --epochs");
  schedule("--batch-size", o.batch, "rows a step (default 64; --recipe paper: 32)");
  schedule("--lr", o.rate, "highest learning rate (default 1e-3; generated data 1.2e-3)");
  schedule("--dropout", o.dropout, "share dropped while training (default: text 0.2, pictures 0.1, generated data 0)");
  schedule("--checkpoint-every", o.checkpoint_every,
           "steps between resumable states (default 200). Never changes the result");
  app.add_flag("--progress,!--no-progress", o.progress, "progress on stderr (default on)");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    out.help = true;
    out.help_text = app.help();
    return out;
  } catch (const CLI::ParseError& error) {
    return Error{Code::usage, error.what(), "see fathom-train --help"};
  }
  if (o.tune == "like")
    for (const char* flag : {"--task", "--pairs", "--header", "--text-columns", "--label-column", "--max-train",
                             "--image-size", "--no-labels"})
      if (app.get_option(flag)->count() > 0)
        return Error{
            Code::usage,
            std::string(flag) + " has no meaning with --tune like: data are read as the teacher's bundle records",
            "leave it out"};
  if (o.tune != "like")
    for (const char* flag : {"--state", "--zeros", "--int8-levels"})
      if (app.get_option(flag)->count() > 0)
        return Error{Code::usage, std::string(flag) + " goes with --tune like", "leave it out"};
  if (o.zeros_by_movement && o.zeros.empty())
    return Error{Code::usage, "--by-movement goes with --zeros", "leave it out"};
  if (data.empty() && states.empty()) return Error{Code::usage, "--data is required", "see fathom-train --help"};
  if (!image_size.empty()) FATHOM_TRY_VOID(parse_image_size(image_size, o));
  if (header_flag->count() > 0) o.header = header;
  o.data = data;
  o.states = states;
  o.teacher = teacher;
  o.state = state;
  o.output = output;
  FATHOM_TRY(o.task, data::parse_task(task));
  if (!norm.empty()) o.norm = norm == "pre" ? NormOrder::pre : NormOrder::post;
  if (!attention.empty()) o.attention = attention == "linear" ? Attention::linear : Attention::softmax;
  if (!pooling.empty()) o.pooling = pooling == "cls" ? Pooling::cls : Pooling::cls_mean;
  FATHOM_TRY_VOID(check_ranges(o));
  return out;
}

Json options_to_json(const FitOptions& o) {
  Json json = Json::object();
  json["task"] = data::task_name(o.task);
  json["recipe"] = o.recipe;
  json["seed"] = o.seed;
  json["max_train"] = o.max_train;
  json["max_disagreement"] = o.max_disagreement;
  json["text_columns"] = o.text_columns;
  json["label_column"] = o.label_column;
  put(json, "header", o.header);
  if (o.image_height > 0) json["image_size"] = {o.image_height, o.image_width};
  if (o.pairs) json["pairs"] = true;
  if (!o.teacher_checksum.empty()) json["teacher"] = o.teacher_checksum;
  put(json, "layers", o.layers);
  put(json, "hidden", o.hidden);
  put(json, "heads", o.heads);
  put(json, "ffn", o.ffn);
  put(json, "window", o.window);
  put(json, "max_tokens", o.max_tokens);
  put(json, "patch", o.patch);
  put(json, "vocab_size", o.vocab_size);
  put(json, "word_width", o.word_width);
  put(json, "head_hidden", o.head_hidden);
  if (o.norm) json["norm"] = *o.norm == NormOrder::pre ? "pre" : "post";
  if (o.attention) json["attention"] = *o.attention == Attention::linear ? "linear" : "softmax";
  if (o.pooling) json["pooling"] = *o.pooling == Pooling::cls ? "cls" : "cls_mean";
  put(json, "lr", o.rate);
  put(json, "epochs", o.epochs);
  put(json, "steps", o.steps);
  put(json, "batch_size", o.batch);
  put(json, "dropout", o.dropout);
  return json;
}

data::ReadOptions read_options(const FitOptions& o) {
  data::ReadOptions read;
  read.task = o.task;
  read.text_columns = o.text_columns;
  read.label_column = o.label_column;
  read.header = o.header;
  read.pairs = o.pairs;
  read.seed = o.seed;
  read.max_train = o.max_train;
  read.image_height = o.image_height;
  read.image_width = o.image_width;
  read.check_pictures = o.tune.empty();  // else `fathom fit` did
  return read;
}

}  // namespace fathom::train
