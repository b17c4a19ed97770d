#include "train/prepare.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "data/encode_row.h"
#include "data/preprocessing.h"

namespace fathom::train {
namespace {

using data::Part;

// Token count that covers all but 2 % of the texts, rounded up to 8, at most `most`.
int usual_tokens(const data::Tokenizer& tokenizer, const data::Split& split, bool all, int most) {
  std::vector<int> counts;
  std::vector<std::int32_t> ids, types;
  for (std::size_t row = 0; row < split.size(); ++row) {
    ids.clear();
    data::encode_row(tokenizer, split, row, most, ids, types);
    counts.push_back(static_cast<int>(ids.size()));
  }
  std::sort(counts.begin(), counts.end());
  if (all) return std::max(2, counts.back());
  const int usual = counts[counts.size() * 98 / 100];
  return std::min(most, (usual + 7) / 8 * 8);
}

// The patch side nearest to an eighth of the picture that divides both sides.
int usual_patch(int height, int width) {
  int best = 1;
  const double wish = std::max(2.0, std::min(height, width) / 8.0);
  for (int p = 1; p <= std::min(height, width); ++p) {
    if (height % p != 0 || width % p != 0) continue;
    if (std::fabs(p - wish) <= std::fabs(best - wish)) best = p;
  }
  return best;
}

// The teacher's words and how many of them it reads.
Status teachers_words(const FitOptions& o, const ModelSpec& teacher, Prepared& out) {
  FATHOM_TRY(out.tokenizer, data::Tokenizer::read(o.teacher));
  out.spec.vocab = teacher.vocab;
  if (out.spec.token_types > 0) out.spec.token_types = teacher.token_types;
  out.spec.max_tokens = o.max_tokens.value_or(teacher.max_tokens);
  out.teachers_tokens = true;
  if (out.spec.max_tokens <= teacher.max_tokens) return {};
  return Error{Code::usage,
               "--max-tokens " + std::to_string(out.spec.max_tokens) + " is more than the teacher reads, " +
                   std::to_string(teacher.max_tokens),
               "give at most that, or --vocab-size for words of the student's own, taught by answers alone"};
}

Status own_words(const data::Dataset& dataset, const FitOptions& o, Prepared& out) {
  const auto& train = dataset.part(Part::train);
  data::TokenizerOptions tokens;
  tokens.vocab_size = o.vocab_size.value_or(8192);
  tokens.append_sep = out.spec.attention_window == 0;  // a windowed model's CLS could not see it
  std::vector<std::string> texts = train.texts;
  texts.insert(texts.end(), train.second.begin(), train.second.end());
  FATHOM_TRY(out.tokenizer, data::Tokenizer::train(texts, tokens));
  out.spec.vocab = out.tokenizer->vocab_size();
  out.spec.max_tokens = o.max_tokens.value_or(usual_tokens(*out.tokenizer, train, !train.complexity.empty(), 128));
  return {};
}

Status patches(const data::Split& train, const FitOptions& o, const ModelSpec* teacher, Prepared& out) {
  ModelSpec& spec = out.spec;
  spec.image_height = train.height;
  spec.image_width = train.width;
  bool as_teacher = teacher != nullptr && teacher->image_height == train.height &&
                    teacher->image_width == train.width && teacher->prefix_tokens == spec.prefix_tokens;
  if (as_teacher) {
    FATHOM_TRY(const auto how, data::read_preprocessing(o.teacher));
    as_teacher = !how;  // with one it may see other pixels than the student
  }
  spec.patch = o.patch.value_or(as_teacher ? teacher->patch : usual_patch(train.height, train.width));
  out.teachers_tokens = as_teacher && spec.patch == teacher->patch;
  if (train.height % spec.patch == 0 && train.width % spec.patch == 0) return {};
  return Error{Code::usage,
               "--patch " + std::to_string(spec.patch) + " does not divide pictures of " +
                   std::to_string(train.height) + " x " + std::to_string(train.width),
               "choose a divisor of both sides"};
}

Status shape(const data::Dataset& dataset, const FitOptions& o, const ModelSpec* teacher, Prepared& out) {
  const auto& train = dataset.part(Part::train);
  const bool generated = !train.complexity.empty();
  const bool text = dataset.task == data::Task::text_classification;
  ModelSpec& spec = out.spec;
  spec.modality = text ? Modality::text : Modality::image;
  spec.label_names = dataset.label_names;
  spec.layers = o.layers.value_or(generated || !text ? 12 : 6);
  spec.hidden = o.hidden.value_or(generated || !text ? 64 : 128);
  spec.heads = o.heads.value_or(4);
  spec.ffn = o.ffn.value_or(generated ? 2 * spec.hidden : 4 * spec.hidden);
  spec.attention = o.attention.value_or(Attention::softmax);
  spec.attention_window = o.window.value_or(generated && spec.attention == Attention::softmax ? 1 : 0);
  spec.norm = o.norm.value_or(NormOrder::pre);
  spec.pooling = o.pooling.value_or(generated ? Pooling::cls : Pooling::cls_mean);
  spec.layer_norm_eps = 1e-6f;
  spec.token_types = train.second.empty() ? 0 : 2;
  if (spec.hidden % spec.heads != 0) {
    return Error{
        Code::usage,
        "width " + std::to_string(spec.hidden) + " is not a multiple of " + std::to_string(spec.heads) + " heads",
        "give --hidden and --heads that divide evenly"};
  }
  size_decision(spec);
  if (o.head_hidden) spec.exit_head_hidden = *o.head_hidden;
  if (!text) {
    if (o.word_width)
      return Error{Code::usage, "--word-width has no meaning for pictures: they have no word table", "leave it out"};
    return patches(train, o, teacher, out);
  }
  spec.word_width = o.word_width.value_or(0);
  if (spec.word_width >= spec.hidden)
    return Error{Code::usage,
                 "--word-width " + std::to_string(spec.word_width) + " is not narrower than the model, " +
                     std::to_string(spec.hidden),
                 "give half of it, say, or leave it out"};
  return teacher != nullptr && !o.vocab_size ? teachers_words(o, *teacher, out) : own_words(dataset, o, out);
}

void schedule(const data::Dataset& dataset, const FitOptions& o, Prepared& out) {
  const auto rows = static_cast<double>(dataset.part(Part::train).size());
  const bool generated = !dataset.part(Part::train).complexity.empty();
  const bool text = out.spec.modality == Modality::text;
  Schedule& s = out.schedule;
  s.batch = o.batch.value_or(64);
  const double epochs = o.epochs.value_or(generated ? 0.0 : text ? 12.0 : 10.0);
  s.steps = generated ? 3600 : 0;
  if (epochs > 0) s.steps = std::max<std::int64_t>(1, std::llround(epochs * rows / static_cast<double>(s.batch)));
  if (o.steps) s.steps = *o.steps;
  s.rate = o.rate.value_or(generated ? 1.2e-3 : 1e-3);
  s.hold = generated ? 0.5 : 0.0;
  s.warmup = std::min<std::int64_t>(generated ? 50 : std::max<std::int64_t>(50, s.steps / 16),
                                    std::max<std::int64_t>(1, s.steps / 4));
  s.dropout = o.dropout.value_or(generated ? 0.0 : text ? 0.2 : 0.1);
  s.decay = generated ? 0.01 : 0.05;
  s.keep_best = !generated;
}

}  // namespace

Result<Encoded> encode_part(const data::Split& split, const ModelSpec& spec, const data::Tokenizer* tokenizer,
                            std::int64_t* cut) {
  Encoded out;
  const auto n = static_cast<std::int64_t>(split.size());
  const auto longs = [n](const std::vector<std::int32_t>& values) {
    auto t = torch::empty({n}, torch::kLong);
    std::copy(values.begin(), values.end(), t.data_ptr<std::int64_t>());
    return t;
  };
  out.labels = longs(split.labels);
  if (!split.complexity.empty()) out.complexity = longs(split.complexity);
  if (spec.modality == Modality::image) {
    if (n > 0 && split.files.empty() && (split.height != spec.image_height || split.width != spec.image_width)) {
      return Error{Code::bad_input,
                   "pictures of " + std::to_string(split.height) + " x " + std::to_string(split.width) + ", expected " +
                       std::to_string(spec.image_height) + " x " + std::to_string(spec.image_width),
                   "give pictures of one size"};
    }
    out.pixels = torch::empty({n, spec.image_height, spec.image_width, 3}, torch::kByte);
    FATHOM_TRY(const auto pixels, data::fit_pictures(split, split.size(), {}, spec.image_height, spec.image_width));
    if (n > 0) std::memcpy(out.pixels.data_ptr(), pixels.data(), pixels.size());
    out.lengths = torch::full({n}, spec.tokens(), torch::kLong);
    return out;
  }
  out.lengths = torch::empty({n}, torch::kLong);
  out.ids = torch::zeros({n, spec.max_tokens}, torch::kLong);
  const bool typed = !split.second.empty() && spec.token_types > 0;
  if (typed) out.types = torch::zeros({n, spec.max_tokens}, torch::kLong);
  std::vector<std::int32_t> ids, types;
  for (std::int64_t i = 0; i < n; ++i) {
    ids.clear();
    types.clear();
    if (data::encode_row(*tokenizer, split, static_cast<std::size_t>(i), spec.max_tokens, ids, types) && cut) ++*cut;
    std::copy(ids.begin(), ids.end(), out.ids.data_ptr<std::int64_t>() + i * spec.max_tokens);
    if (typed) {
      if (const auto most = *std::max_element(types.begin(), types.end()); most >= spec.token_types)
        return Error{Code::bad_input,
                     "the tokenizer gives token type " + std::to_string(most) + ", the model has " +
                         std::to_string(spec.token_types),
                     "the tokenizer and the weights do not belong together"};
      std::copy(types.begin(), types.end(), out.types.data_ptr<std::int64_t>() + i * spec.max_tokens);
    }
    out.lengths.data_ptr<std::int64_t>()[i] = static_cast<std::int64_t>(ids.size());
  }
  return out;
}

Result<Prepared> prepare(const data::Dataset& dataset, const FitOptions& options, const ModelSpec* teacher) {
  Prepared out;
  for (const Part part : {Part::train, Part::tune}) {
    if (dataset.part(part).size() < 16) {
      return Error{Code::bad_input,
                   std::string("the ") + data::part_name(part) + " split has " +
                       std::to_string(dataset.part(part).size()) + " rows, at least 16 are needed",
                   "give more labelled rows"};
    }
  }
  if (dataset.label_names.size() < 2)
    return Error{Code::bad_input, "the data has fewer than two classes", "check --label-column"};
  const bool texts = dataset.task == data::Task::text_classification;
  if (teacher != nullptr && (teacher->modality == Modality::text) != texts)
    return Error{Code::bad_input,
                 std::string("the teacher '") + options.teacher.string() + "' reads " +
                     (texts ? "pictures, the data are texts" : "texts, the data are pictures"),
                 "give a teacher of this task"};
  FATHOM_TRY_VOID(shape(dataset, options, teacher, out));
  FATHOM_TRY_VOID(validate(out.spec, "the model asked for"));
  schedule(dataset, options, out);
  for (const Part part : data::kAllParts) {
    if (part == Part::test) continue;  // read by `fathom eval` alone
    FATHOM_TRY(out.parts[static_cast<std::size_t>(part)],
               encode_part(dataset.part(part), out.spec, out.tokenizer ? &*out.tokenizer : nullptr,
                           part == Part::train ? &out.cut : nullptr));
  }
  return out;
}

Result<Schedule> fine_tuning_schedule(const FitOptions& o, std::int64_t rows, const FineTuning& defaults) {
  if (rows < 16)
    return Error{Code::bad_input, "the train split has " + std::to_string(rows) + " rows, at least 16 are needed",
                 "give more rows"};
  Schedule s;
  s.batch = std::min<std::int64_t>(o.batch.value_or(32), rows);
  s.steps = o.steps ? *o.steps
                    : std::max<std::int64_t>(
                          1, std::llround(o.epochs.value_or(defaults.epochs) * static_cast<double>(rows / s.batch)));
  s.rate = o.rate.value_or(defaults.rate);
  s.warmup = std::max<std::int64_t>(1, s.steps * 6 / 100);
  s.final_share = 0.02;
  s.decay = 0.01;
  s.beta2 = 0.999;
  s.dropout = o.dropout.value_or(defaults.dropout);
  return s;
}

Json schedule_to_json(const Schedule& s) {
  return {{"steps", s.steps},        {"batch", s.batch},
          {"warmup", s.warmup},      {"lr", s.rate},
          {"hold", s.hold},          {"final_share", s.final_share},
          {"weight_decay", s.decay}, {"beta1", s.beta1},
          {"beta2", s.beta2},        {"clip", s.clip},
          {"dropout", s.dropout},    {"keep_best", s.keep_best}};
}

}  // namespace fathom::train
