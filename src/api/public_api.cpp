// The public words of include/fathom/fathom.hpp over the api room's Classifier. The two worlds share names (Model,
// Error, Result), so here the public ones are spelled v1:: and nothing is imported.
#define FATHOM_BUILDING_API
#include "fathom/fathom.hpp"

#include <algorithm>
#include <mutex>

#include "api/budget.h"
#include "api/classifier.h"
#include "api/stream.h"
#include "base/cpu.h"
#include "base/float_environment.h"
#include "base/quote.h"
#include "engine/weights_pack.h"

namespace fathom {
namespace {

v1::Error outward(const Error& error) {
  return {static_cast<int>(error.code), printable_message(error.message), printable_message(error.hint)};
}
v1::Error misuse(std::string message, std::string hint) {
  return {static_cast<int>(Code::invalid_argument), std::move(message), std::move(hint)};
}

std::optional<v1::Error> read_ask(const v1::Ask& ask, engine::RunOptions& options) {
  if (ask.full_depth && ask.lambda) return misuse("Ask has both lambda and full_depth", "set one of them");
  if (ask.lambda && !(*ask.lambda >= 0.0f && *ask.lambda <= 2.0f)) {
    return misuse("lambda is " + std::to_string(*ask.lambda) + ", expected 0..2",
                  "1.0 and below stop early; above 1 never does");
  }
  if (ask.max_depth < 0)
    return misuse("max_depth is " + std::to_string(ask.max_depth) + ", expected 0 or a number of layers",
                  "0 sets no bound");
  if (ask.full_depth && ask.max_depth > 0) return misuse("Ask has both max_depth and full_depth", "set one of them");
  options.max_depth = ask.max_depth;
  if (ask.full_depth) options.mode = engine::Mode::full_depth;
  if (ask.lambda) options.lambda = *ask.lambda;
  return std::nullopt;
}

v1::Answer to_answer(const api::Outcome& outcome, const std::vector<std::string>& labels, std::size_t input) {
  const engine::Prediction& from = outcome.prediction;
  v1::Answer to;
  if (from.no_answer > 0)
    to.error = outward(engine::no_answer(from, "input " + std::to_string(input)));
  else
    to.label = labels[static_cast<std::size_t>(from.label)];
  to.label_index = from.label;
  to.confidence = from.confidence;
  to.raw_confidence = from.raw_confidence;
  to.depth = from.depth;
  to.trajectory = from.trajectory;
  to.macs = from.macs;
  to.decision_macs = from.decision_macs;
  to.full_macs = outcome.full_macs;
  to.cut = outcome.cut;
  return to;
}

std::vector<v1::Answer> to_answers(const std::vector<api::Outcome>& outcomes, const std::vector<std::string>& labels) {
  std::vector<v1::Answer> answers;
  answers.reserve(outcomes.size());
  for (const api::Outcome& outcome : outcomes) answers.push_back(to_answer(outcome, labels, answers.size()));
  return answers;
}

// The answer of a single input.
v1::Result<v1::Answer> only(v1::Result<std::vector<v1::Answer>> answers) {
  if (!answers) return answers.error();
  if (answers->front().error) return *answers->front().error;
  return std::move(answers->front());
}

std::vector<api::TextPair> read_pairs(std::span<const v1::TextPair> pairs) {
  std::vector<api::TextPair> inner;
  for (const v1::TextPair& pair : pairs) inner.push_back({pair.first, pair.second});
  return inner;
}

v1::Result<std::vector<data::Picture>> read_pictures(std::span<const v1::Picture> pictures) {
  std::vector<data::Picture> inner(pictures.size());
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    const v1::Picture& from = pictures[i];
    if (from.rgb == nullptr || from.height < 1 || from.width < 1 || from.height > 16384 || from.width > 16384) {
      return misuse("picture " + std::to_string(i) + " is empty or larger than 16384 a side",
                    "give RGB bytes [height, width, 3]");
    }
    inner[i].height = from.height;
    inner[i].width = from.width;
    inner[i].pixels.assign(from.rgb,
                           from.rgb + static_cast<std::size_t>(from.height) * static_cast<std::size_t>(from.width) * 3);
  }
  return inner;
}

}  // namespace

namespace v1 {

std::string Error::text() const {
  std::string all = "error FTH-" + std::to_string(code) + ": " + message;
  if (!hint.empty()) all += "\n  next: " + hint;
  return all;
}

std::string version() { return FATHOM_VERSION; }

struct Session::State {
  std::shared_ptr<api::Opened> opened;
  api::Classifier classifier;
};

Session::Session(std::unique_ptr<State> state) : state_(std::move(state)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

Result<std::vector<Answer>> Session::classify(std::span<const std::string> texts, const Ask& ask) {
  const FloatEnvironment ours;
  engine::RunOptions options;
  if (auto wrong = read_ask(ask, options)) return *wrong;
  auto outcomes = state_->classifier.texts(texts, options);
  if (!outcomes) return outward(outcomes.error());
  return to_answers(*outcomes, state_->opened->spec().label_names);
}

Result<std::vector<Answer>> Session::classify(std::span<const TextPair> pairs, const Ask& ask) {
  const FloatEnvironment ours;
  engine::RunOptions options;
  if (auto wrong = read_ask(ask, options)) return *wrong;
  auto outcomes = state_->classifier.pairs(read_pairs(pairs), options);
  if (!outcomes) return outward(outcomes.error());
  return to_answers(*outcomes, state_->opened->spec().label_names);
}

Result<std::vector<Answer>> Session::classify(std::span<const Picture> pictures, const Ask& ask) {
  const FloatEnvironment ours;
  engine::RunOptions options;
  if (auto wrong = read_ask(ask, options)) return *wrong;
  const auto inner = read_pictures(pictures);
  if (!inner) return inner.error();
  auto outcomes = state_->classifier.pictures(*inner, options);
  if (!outcomes) return outward(outcomes.error());
  return to_answers(*outcomes, state_->opened->spec().label_names);
}

struct Stream::State {
  std::shared_ptr<api::Opened> opened;
  api::Stream stream;

  template <class Input>
  Result<std::size_t> submit(std::span<const Input> inputs) {
    const FloatEnvironment ours;
    const auto taken = stream.submit(inputs);
    if (!taken) return outward(taken.error());
    return *taken;
  }
};

Stream::Stream(std::unique_ptr<State> state) : state_(std::move(state)) {}
Stream::Stream(Stream&&) noexcept = default;
Stream& Stream::operator=(Stream&&) noexcept = default;
Stream::~Stream() = default;

Result<std::size_t> Stream::submit(std::span<const std::string> texts) { return state_->submit(texts); }

Result<std::size_t> Stream::submit(std::span<const TextPair> pairs) {
  return state_->submit(std::span<const api::TextPair>(read_pairs(pairs.first(std::min(pairs.size(), room())))));
}

Result<std::size_t> Stream::submit(std::span<const Picture> pictures) {
  const auto inner = read_pictures(pictures.first(std::min(pictures.size(), room())));
  if (!inner) return inner.error();
  return state_->submit(std::span<const data::Picture>(*inner));
}

std::vector<Finished> Stream::drain() {
  const FloatEnvironment ours;
  std::vector<Finished> finished;
  for (const auto& [ticket, outcome] : state_->stream.drain())
    finished.push_back({ticket, to_answer(outcome, state_->opened->spec().label_names, ticket)});
  return finished;
}

std::size_t Stream::held() const { return state_->stream.held(); }
std::size_t Stream::room() const { return state_->stream.room(); }

struct Model::State {
  std::shared_ptr<api::Opened> opened;
  Options options;
  std::mutex mutex;
  std::vector<Session> idle;  // guarded by mutex
};

Model::Model(std::shared_ptr<State> state) : state_(std::move(state)) {}

Result<Model> Model::open(const std::string& folder, const Options& options) {
  const FloatEnvironment ours;
  if (options.threads < 0 || options.threads > 1024)
    return misuse("threads is " + std::to_string(options.threads) + ", expected 0..1024", "0 uses every core");
  if (options.max_batch < 1 || options.max_batch > 4096)
    return misuse("max_batch is " + std::to_string(options.max_batch) + ", expected 1..4096", "32 is a good start");
  engine::RuntimeOptions runtime;
  runtime.tier = options.tier;
  runtime.threads = options.threads;
  runtime.memory_budget = options.memory_budget;
  runtime.weights = options.weights == Options::Weights::copy ? Weights::copy : Weights::map;
  runtime.trust_packed = options.trust_packed;
  auto opened = api::open_bundle(folder, runtime);
  if (!opened) return outward(opened.error());
  auto state = std::make_shared<State>();
  state->opened = std::move(*opened);
  state->options = options;
  return Model(std::move(state));
}

bool Model::reads_text() const { return state_->opened->tokenizer.has_value(); }
bool Model::reads_pairs() const { return state_->opened->pairs.value_or(false); }
int Model::layers() const { return state_->opened->spec().layers; }
const std::vector<std::string>& Model::labels() const { return state_->opened->spec().label_names; }
std::string Model::tier() const { return tier_name(state_->opened->runtime->kernels().tier); }
std::string Model::checksum() const { return state_->opened->bundle().checksum(); }
std::optional<Error> Model::verify() const {
  const FloatEnvironment ours;
  const Status status = state_->opened->bundle().verify();
  if (!status) return outward(status.error());
  const auto packed = engine::verify_packed(*state_->opened->model);
  if (!packed) return outward(packed.error());
  return std::nullopt;
}

Result<Session> Model::session() const {
  const FloatEnvironment ours;
  {
    const std::lock_guard lock(state_->mutex);
    if (!state_->idle.empty()) {
      Session session = std::move(state_->idle.back());
      state_->idle.pop_back();
      return session;
    }
  }
  auto classifier = api::Classifier::create(state_->opened, state_->options.max_batch);
  if (!classifier) return outward(classifier.error());
  return Session(std::make_unique<Session::State>(Session::State{state_->opened, std::move(*classifier)}));
}

Result<Stream> Model::stream(const Ask& ask) const {
  const FloatEnvironment ours;
  engine::RunOptions options;
  if (auto wrong = read_ask(ask, options)) return *wrong;
  auto stream = api::Stream::create(state_->opened, state_->options.max_batch, options);
  if (!stream) return outward(stream.error());
  return Stream(std::make_unique<Stream::State>(Stream::State{state_->opened, std::move(*stream)}));
}

Result<Within> Model::within(const std::string& budget) const {
  const FloatEnvironment ours;
  auto taken = session();
  if (!taken) return taken.error();
  const auto found = api::within_budget(*state_->opened, budget, taken->state_->classifier.buffer_bytes());
  {
    const std::lock_guard lock(state_->mutex);
    state_->idle.push_back(std::move(*taken));
  }
  if (!found) return outward(found.error());
  Within out;
  if (found->options.lambda >= 0) out.ask.lambda = found->options.lambda;
  out.ask.max_depth = found->options.max_depth;
  out.peak_mb = found->peak_mb;
  out.full_macs = found->full_macs;
  out.ms = found->ms.value_or(0);
  out.note = found->note;
  if (found->expected) {
    out.macs = found->expected->macs;
    out.depth = found->expected->depth;
    out.agreement = found->expected->agreement;
  }
  return out;
}

template <class Input>
Result<std::vector<Answer>> Model::with_idle(std::span<const Input> inputs, const Ask& ask) const {
  auto taken = session();
  if (!taken) return taken.error();
  auto answers = taken->classify(inputs, ask);
  const std::lock_guard lock(state_->mutex);
  state_->idle.push_back(std::move(*taken));
  return answers;
}

Result<std::vector<Answer>> Model::classify(std::span<const std::string> texts, const Ask& ask) const {
  return with_idle(texts, ask);
}
Result<std::vector<Answer>> Model::classify(std::span<const TextPair> pairs, const Ask& ask) const {
  return with_idle(pairs, ask);
}
Result<std::vector<Answer>> Model::classify(std::span<const Picture> pictures, const Ask& ask) const {
  return with_idle(pictures, ask);
}

Result<Answer> Model::classify(std::string_view text, const Ask& ask) const {
  const std::string one(text);
  return only(classify(std::span(&one, 1), ask));
}

Result<Answer> Model::classify(const TextPair& pair, const Ask& ask) const {
  return only(classify(std::span(&pair, 1), ask));
}

Result<Answer> Model::classify(const Picture& picture, const Ask& ask) const {
  return only(classify(std::span(&picture, 1), ask));
}

Result<Answer> Model::classify_file(const std::string& path, const Ask& ask) const {
  const FloatEnvironment ours;
  auto picture = data::read_picture(path);
  if (!picture) return outward(picture.error());
  return classify(Picture{picture->pixels.data(), picture->height, picture->width}, ask);
}

}  // namespace v1
}  // namespace fathom
