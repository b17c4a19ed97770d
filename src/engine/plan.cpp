// Plan::compile: everything resolved and checked once. Runtime::create: threads and the kernel tier.
#include <algorithm>
#include <cmath>
#include <new>

#include "base/cores.h"
#include "base/float_environment.h"
#include "engine/checksum.h"
#include "engine/parts.h"

namespace fathom::engine {
namespace {

// Walks PackedWeights in the order of packed_entries().
class Cursor {
 public:
  explicit Cursor(const PackedWeights& weights) : weights_(weights) {}
  const Linear& next() { return weights_[at_++]; }
  bool finished() const { return at_ == weights_.size(); }
  std::size_t bytes() const { return weights_.bytes_before(at_); }  // of all taken so far
  std::size_t at() const { return at_; }

 private:
  const PackedWeights& weights_;
  std::size_t at_ = 0;
};

Norm norm_of(const Linear& entry) { return {entry.floats(), entry.bias}; }

void resolve_embedding(Plan::Parts& parts, Cursor& cursor) {
  const Model& model = *parts.model;
  const ModelSpec& spec = parts.spec;
  Embedding& embedding = parts.embedding;
  if (spec.modality == Modality::text) {
    WordTable& word = embedding.word;
    word.table = model.table_of("embeddings.word_embeddings.weight");
    const PackedEntry::Kind kind = parts.weights.kind(cursor.at());
    const Linear& packed = cursor.next();
    if (kind == PackedEntry::Kind::table)
      word.here = packed.floats();
    else if (model.bundle() != nullptr)
      word.checks = static_cast<const std::uint64_t*>(packed.packed);
    if (spec.word_width > 0) embedding.projection = cursor.next();
    embedding.position = cursor.next().floats();
    if (spec.token_types > 0) embedding.type = cursor.next().floats();
    if (spec.norm == NormOrder::post) embedding.norm = norm_of(cursor.next());
    return;
  }
  Extractor& grid = parts.extractor;
  grid.rows = static_cast<std::size_t>(spec.grid_rows());
  grid.columns = static_cast<std::size_t>(spec.grid_columns());
  grid.pooled_rows = (grid.rows + 1) / 2;
  grid.pooled_columns = (grid.columns + 1) / 2;
  embedding.patch = cursor.next();
  embedding.prefix[0] = cursor.next().floats();
  if (spec.prefix_tokens == 2) embedding.prefix[1] = cursor.next().floats();
  embedding.position = cursor.next().floats();
  for (std::size_t channel = 0; channel < 3; ++channel)
    for (int byte = 0; byte < 256; ++byte)
      embedding.pixel[channel][static_cast<std::size_t>(byte)] =
          (static_cast<float>(byte) / 255.0f - spec.pixel_mean[channel]) / spec.pixel_std[channel];
}

using Factors = std::array<Linear, 4>;  // shared by all layers, of qkv, o, f1, f2; n = 0: none

void resolve_layer(Plan::Parts& parts, Cursor& cursor, const Factors& shared) {
  Layer layer;
  const std::size_t first = cursor.at();
  const std::array<LayerMap, 4> maps = layer_maps(parts.spec);
  const auto map = [&](std::size_t i) {
    Map out;
    if (maps[i].rank > 0) out.factor = parts.spec.ranks.shared ? shared[i] : cursor.next();
    out.out = cursor.next();
    return out;
  };
  layer.qkv = map(0);
  layer.o = map(1);
  layer.first = norm_of(cursor.next());
  layer.f1 = map(2);
  layer.f2 = map(3);
  layer.second = norm_of(cursor.next());
  parts.layers.push_back(layer);
  parts.layer_bytes.push_back(parts.weights.piece(first, cursor.at()));
  parts.units[parts.layer_unit(parts.layers.size() - 1)] = {first, cursor.at()};
}

void resolve_head(Plan::Parts& parts, Cursor& cursor, int exit) {
  Head head;
  head.shape = parts.spec.head_shape(exit);
  if (head.shape.norm > 0) head.norm = norm_of(cursor.next());
  if (head.shape.dense > 0) head.dense = cursor.next();
  head.out = cursor.next();
  if (!parts.policy.temperature.empty())
    head.temperature = parts.policy.temperature[static_cast<std::size_t>(exit - 1)];
  parts.head_width = std::max(parts.head_width, head.dense.n);
  parts.head_input = std::max(parts.head_input, static_cast<std::size_t>(head.shape.input));
  parts.heads.push_back(head);
}

// Layers, each followed by its head if it has one; before the first head stand empty ones, so that exit e is heads[e -
// 1].
void resolve_layers(Plan::Parts& parts, Cursor& cursor) {
  Factors factors;
  if (parts.spec.ranks.shared)
    for (std::size_t i = 0; const LayerMap& map : layer_maps(parts.spec)) {
      if (map.rank > 0) factors[i] = cursor.next();
      ++i;
    }
  const int layers = parts.spec.layers, first_head = parts.decides ? 1 : parts.answers ? layers : layers + 1;
  parts.units.resize(Plan::Parts::kLayers + 2 * static_cast<std::size_t>(layers));
  parts.units[Plan::Parts::kEmbedding] = {0, cursor.at()};
  if (first_head <= layers) parts.heads.resize(static_cast<std::size_t>(first_head - 1));
  for (int layer = 1; layer <= layers; ++layer) {
    resolve_layer(parts, cursor, factors);
    const std::size_t head = cursor.at();
    if (layer >= first_head) resolve_head(parts, cursor, layer);
    parts.units[Plan::Parts::kLayers + static_cast<std::size_t>(layers + layer - 1)] = {head, cursor.at()};
    parts.depth_bytes.push_back(cursor.bytes());
  }
}

void resolve_decision(Plan::Parts& parts, Cursor& cursor) {
  const ModelSpec& spec = parts.spec;
  const std::size_t before = cursor.bytes(), first = cursor.at();
  Extractor& extractor = parts.extractor;
  extractor.proj = cursor.next();
  extractor.conv1 = cursor.next();
  extractor.conv2 = cursor.next();
  extractor.kernel_rows = spec.grid_rows() == 1 ? 1 : 3;
  parts.conv2_macs_per_position = static_cast<double>(extractor.conv2.n) * static_cast<double>(extractor.conv2.k);
  parts.net = {cursor.next(), cursor.next(), cursor.next(), static_cast<std::size_t>(spec.policy_hidden)};
  parts.features = static_cast<std::size_t>(policy::predictor_features(spec));
  for (std::size_t& bytes : parts.depth_bytes) bytes += cursor.bytes() - before;
  parts.units[Plan::Parts::kDecision] = {first, cursor.at()};
}

// A large word table, read whole and compared at once: no row comes from the file any more.
Status copy_words(Plan::Parts& parts) {
  WordTable& word = parts.embedding.word;
  if (parts.spec.modality != Modality::text || word.here != nullptr) return {};
  const std::size_t bytes = word.table.row_bytes();
  parts.words = Buffer<std::byte>(word.table.rows * bytes);
  if (!word.table.file->read(word.table.offset, parts.words.size(), parts.words.data()))
    return Error{Code::io, "the word table was cut short while it was read", "wait until the file is whole"};
  for (std::size_t row = 0; word.checks != nullptr && row < word.table.rows; ++row)
    if (quick_hash(parts.words.data() + row * bytes, bytes) != word.checks[row]) return damaged_row(parts, row);
  word.copied = parts.words.data();
  return {};
}

Result<std::unique_ptr<Plan::Parts>> resolve(std::shared_ptr<const Model> model, const Runtime& runtime) {
  auto parts = std::make_unique<Plan::Parts>();
  parts->spec = model->spec();
  parts->decides = model->has_decision() && model->bundle() != nullptr;
  parts->answers = parts->decides || model->has_task_head();
  parts->model = std::move(model);
  if (parts->model->bundle() != nullptr) FATHOM_TRY_VOID(parts->model->bundle()->unchanged());
  parts->kernels = &runtime.kernels();
  const ModelSpec& spec = parts->spec;
  parts->hidden = static_cast<std::size_t>(spec.hidden);
  parts->mixed = static_cast<std::size_t>(spec.attention_width());
  parts->ffn = static_cast<std::size_t>(spec.ffn);
  parts->classes = static_cast<std::size_t>(spec.classes());
  parts->attention_scale = 1.0f / std::sqrt(static_cast<float>(spec.head_dim()));
  if (parts->decides) {
    const Bundle& bundle = *parts->model->bundle();
    const std::string where = bundle.folder().string() + "/fathom.json";
    const Json& json = bundle.fathom();
    if (!json.is_object() || !json.contains("policy"))
      return Error{Code::corrupt_bundle, where + ": no \"policy\"", "fit or import the bundle again"};
    FATHOM_TRY(parts->policy, policy::policy_from_json(json["policy"], spec, bundle.predictor(), where));
  }
  const PackedUse use{runtime.weights(), runtime.trust_packed()};
  FATHOM_TRY(parts->weights, PackedWeights::make(*parts->model, *parts->kernels, use));
  Cursor cursor(parts->weights);
  resolve_embedding(*parts, cursor);
  parts->depth_bytes.assign(1, cursor.bytes());
  resolve_layers(*parts, cursor);
  if (parts->decides) resolve_decision(*parts, cursor);
  FATHOM_CHECK(cursor.finished(), "packed entries and their users disagree");
  parts->known_good = std::make_unique<std::atomic<bool>[]>(parts->units.size());
  FATHOM_TRY_VOID(parts->first_use(Plan::Parts::kEmbedding));
  if (use.trust) parts->embedding.word.checks = nullptr;
  if (use.weights == Weights::copy) FATHOM_TRY_VOID(copy_words(*parts));
  return parts;
}

}  // namespace

Error damaged_row(const Plan::Parts& parts, std::size_t row) {
  const Bundle* bundle = parts.model->bundle();
  return {Code::corrupt_bundle,
          (bundle == nullptr ? std::string("the model") : "'" + bundle->folder().string() + "'") + ": row " +
              std::to_string(row) + " of the word table is not what the bundle was made with, or cannot be read",
          "`fathom info --verify` says which file is damaged; copy the bundle again"};
}

Result<std::unique_ptr<Runtime>> Runtime::create(const RuntimeOptions& options) {
  constexpr int kMostThreads = 1024;
  if (options.threads < 0 || options.threads > kMostThreads)
    return Error{Code::usage,
                 "threads: expected 0 (all cores) to " + std::to_string(kMostThreads) + ", got " +
                     std::to_string(options.threads),
                 "0 takes all usable cores"};
  FATHOM_TRY(const Tier tier, take_tier(options.tier, detect_cpu()));
  const int threads = options.threads == 0 ? std::min(usable_cores().threads, kMostThreads) : options.threads;
  FATHOM_TRY(auto pool, ThreadPool::create(threads));
  return std::unique_ptr<Runtime>(new Runtime(kernels::table(tier), std::move(pool), options));
}

Plan::Plan(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Plan::~Plan() = default;
const ModelSpec& Plan::spec() const { return parts_->spec; }
const policy::Policy& Plan::policy() const { return parts_->policy; }
bool Plan::decides() const { return parts_->decides; }
std::size_t Plan::weight_bytes(int depth) const { return parts_->depth_bytes.at(static_cast<std::size_t>(depth)); }

Result<std::shared_ptr<const Plan>> Plan::compile(std::shared_ptr<const Model> model, const Runtime& runtime) {
  const FloatEnvironment ours;  // packing rounds
  if (model == nullptr) return Error{Code::invalid_argument, "Plan::compile: no model", "load a bundle first"};
  try {
    FATHOM_TRY(auto parts, resolve(std::move(model), runtime));
    return std::shared_ptr<const Plan>(new Plan(std::move(parts)));
  } catch (const std::bad_alloc&) {
    return Error{Code::out_of_memory, "Plan::compile: no memory for the packed weights",
                 "a smaller model, or more memory"};
  }
}

}  // namespace fathom::engine
