// One row of a comparison with other CPU engines: a Hugging Face BERT encoder, all layers, last hidden states.
// peer_row --pack --model F.safetensors [--precision P] [--tier T]
// peer_row --model F.safetensors --inputs F.safetensors --output F --workload W [--precision P] [--threads N] [--tier
// T]
// --pack makes F.safetensors.P.bundle, with the packed weights; the timed process maps it (and makes it where there is
// none). Inputs: input_ids, attention_mask, token_type_ids as int64 [batch, tokens]; padding is on the right and is
// never computed: sequences are packed. Vision Transformer: pixel_values as float32 [batch, 3, height, width]. Output:
// float32 [batch, tokens, hidden], zeros where the input was padding. Workloads ending in "s" (W4s) run every sequence
// alone, the others in one packed batch. Prints one JSON object: precision, median_ms, min_ms, mean_ms, cpu_ms
// (processor time of a run), runs, load_ms, tier, threads, tokens. Timed as the peers are (bench/peers/row.py): warm-up
// 0.3 s, at least 20 runs (5 if one takes more than 0.4 s) and 1 s.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "bundle/safetensors.h"
#include "compress/to_precision.h"
#include "engine/engine.h"
#include "eval/map_inputs.h"
#include "eval/timing.h"
#include "model/model.h"
#include "model/naming.h"

namespace {

using namespace fathom;
using Clock = std::chrono::steady_clock;

// Processor time of the whole process: comparable on a busy machine when one thread runs.
double processor_ms() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return 1e3 * static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_nsec);
}

struct Inputs {  // packed
  std::size_t batch = 0, width = 0;
  std::vector<std::int32_t> ids, offsets{0};
  std::shared_ptr<const SafeTensors> file;
  const float* values = nullptr;  // pictures [batch, 3, height, width]; they live in `file`
};

struct Int64Matrix {
  std::vector<std::int64_t> values;
  std::size_t rows = 0, columns = 0;
};

// A 2-D int64 tensor of a safetensors file (the library reads float32 only).
Result<Int64Matrix> int64_matrix(const std::string& file, const Json& header, std::size_t data_at, const char* name) {
  const Error missing{Code::bad_input, std::string("inputs lack an int64 matrix '") + name + "'",
                      "make bench prepares them"};
  const auto entry = header.find(name);
  if (entry == header.end() || !entry->is_object() || entry->value("dtype", "") != "I64") return missing;
  const auto shape = entry->find("shape"), span = entry->find("data_offsets");
  if (shape == entry->end() || span == entry->end() || !shape->is_array() || !span->is_array() || shape->size() != 2 ||
      span->size() != 2)
    return missing;
  for (const auto& list : {*shape, *span})
    for (const auto& number : list)
      if (!number.is_number_unsigned()) return missing;
  Int64Matrix m;
  m.rows = (*shape)[0].get<std::size_t>();
  m.columns = (*shape)[1].get<std::size_t>();
  const std::size_t begin = (*span)[0].get<std::size_t>(), end = (*span)[1].get<std::size_t>(),
                    room = file.size() - data_at;
  if (end > room || begin > end || m.rows > room || m.columns > room || m.rows * m.columns * 8 != end - begin)
    return missing;
  m.values.resize(m.rows * m.columns);
  std::memcpy(m.values.data(), file.data() + data_at + begin, end - begin);
  return m;
}

Result<Inputs> read_inputs(const std::string& path) {
  FATHOM_TRY(const auto tensors, SafeTensors::open(path));
  if (const TensorView* values = tensors->find("pixel_values")) {
    Inputs in;
    in.batch = static_cast<std::size_t>(values->shape[0]);
    in.width = static_cast<std::size_t>(tensors->find("last_hidden_state")->shape[1]);
    in.file = tensors;
    in.values = values->data;
    return in;
  }
  FATHOM_TRY(const std::string file, read_file(path));
  std::uint64_t header_bytes = 0;
  if (file.size() >= 8) std::memcpy(&header_bytes, file.data(), 8);
  if (file.size() < 8 || header_bytes > file.size() - 8)
    return Error{Code::bad_input, path + ": not a safetensors file", ""};
  FATHOM_TRY(const Json header, parse_json(std::string_view(file).substr(8, header_bytes), path));
  FATHOM_TRY(const Int64Matrix ids, int64_matrix(file, header, 8 + header_bytes, "input_ids"));
  FATHOM_TRY(const Int64Matrix mask, int64_matrix(file, header, 8 + header_bytes, "attention_mask"));
  FATHOM_TRY(const Int64Matrix types, int64_matrix(file, header, 8 + header_bytes, "token_type_ids"));
  Inputs in;
  in.batch = ids.rows;
  in.width = ids.columns;
  if (mask.values.size() != ids.values.size() || types.values.size() != ids.values.size())
    return Error{Code::bad_input, path + ": input_ids, attention_mask and token_type_ids differ in shape", ""};
  for (const std::int64_t type : types.values)
    if (type != 0) return Error{Code::unsupported, path + ": token types other than 0", ""};
  for (std::size_t s = 0; s < in.batch; ++s) {
    for (std::size_t i = 0; i < in.width && mask.values[s * in.width + i] != 0; ++i)
      in.ids.push_back(static_cast<std::int32_t>(ids.values[s * in.width + i]));
    in.offsets.push_back(static_cast<std::int32_t>(in.ids.size()));
  }
  return in;
}

// What the Vision Transformer of bench/peers/models.py calls our tensors.
const std::map<std::string, std::string> kVitNames = {{"embeddings.patch_embeddings.projection.weight", "proj.weight"},
                                                      {"embeddings.patch_embeddings.projection.bias", "proj.bias"},
                                                      {"embeddings.cls_token", "cls"},
                                                      {"embeddings.position_embeddings", "pos"}};

Result<ModelSpec> vit_spec(const SafeTensors& tensors) {
  ModelSpec spec;
  const TensorView &patch = *tensors.find("proj.weight"), &places = *tensors.find("pos");
  spec.modality = Modality::image;
  spec.norm = NormOrder::pre;
  spec.hidden = static_cast<int>(patch.shape[0]);
  spec.patch = static_cast<int>(patch.shape[2]);
  spec.image_height = spec.image_width =
      spec.patch * static_cast<int>(std::lround(std::sqrt(static_cast<double>(places.shape[1] - 1))));
  spec.ffn = static_cast<int>(tensors.find("encoder.layer.0.intermediate.dense.weight")->shape[0]);
  spec.heads = 12;
  spec.layers = 0;
  while (tensors.find("encoder.layer." + std::to_string(spec.layers) + ".output.dense.weight")) ++spec.layers;
  spec.label_names = {"none", "other"};
  return spec;
}

Result<ModelSpec> spec_of(const SafeTensors& tensors, const std::string& workload) {
  if (tensors.find("proj.weight") != nullptr && tensors.find("pos") != nullptr) return vit_spec(tensors);
  const TensorView* word = tensors.find("embeddings.word_embeddings.weight");
  const TensorView* position = tensors.find("embeddings.position_embeddings.weight");
  const TensorView* type = tensors.find("embeddings.token_type_embeddings.weight");
  const TensorView* inner = tensors.find("encoder.layer.0.intermediate.dense.weight");
  if (!word || !position || !inner)
    return Error{Code::unsupported, "workload " + workload + ": the model is no BERT encoder",
                 "image workloads take float pixels, which a Plan does not"};
  ModelSpec spec;
  spec.hidden = static_cast<int>(word->shape[1]);
  spec.vocab = static_cast<int>(word->shape[0]);
  spec.max_tokens = static_cast<int>(position->shape[0]);
  spec.token_types = type ? static_cast<int>(type->shape[0]) : 0;
  spec.ffn = static_cast<int>(inner->shape[0]);
  spec.heads = 12;  // both peers' models, BERT-base and MiniLM-L6
  spec.layers = 0;
  while (tensors.find("encoder.layer." + std::to_string(spec.layers) + ".output.dense.weight")) ++spec.layers;
  spec.label_names = {"none", "other"};
  return spec;
}

struct Run {  // the calls of one timed run
  engine::Session session;
  const Inputs& inputs;
  bool one_by_one;
  const TensorView *gamma, *beta;  // of the Vision Transformer's last norm, which is not the backbone's
  std::vector<float> hidden;

  Status pictures(std::size_t width) {
    engine::Batch batch;
    batch.count = inputs.batch;
    batch.values = inputs.values;
    FATHOM_TRY_VOID(session.run_backbone(batch));
    const auto out = session.hidden();
    hidden.resize(out.size());
    for (std::size_t row = 0; row < out.size() / width; ++row) {
      const float* x = out.data() + row * width;
      double mean = 0, squares = 0;
      for (std::size_t i = 0; i < width; ++i) mean += x[i];
      mean /= static_cast<double>(width);
      for (std::size_t i = 0; i < width; ++i) squares += (x[i] - mean) * (x[i] - mean);
      const double scale = 1 / std::sqrt(squares / static_cast<double>(width) + 1e-12);
      for (std::size_t i = 0; i < width; ++i)
        hidden[row * width + i] = static_cast<float>((x[i] - mean) * scale) * gamma->data[i] + beta->data[i];
    }
    return {};
  }

  Status once(std::size_t width) {
    if (inputs.values != nullptr) return pictures(width);
    hidden.resize(inputs.ids.size() * width);
    const std::size_t calls = one_by_one ? inputs.batch : 1;
    for (std::size_t i = 0; i < calls; ++i) {
      const std::size_t first = one_by_one ? i : 0, last = one_by_one ? i + 1 : inputs.batch;
      const std::size_t begin = static_cast<std::size_t>(inputs.offsets[first]),
                        end = static_cast<std::size_t>(inputs.offsets[last]);
      const std::int32_t alone[2] = {0, static_cast<std::int32_t>(end - begin)};
      engine::Batch batch;
      batch.count = last - first;
      batch.ids = std::span(inputs.ids).subspan(begin, end - begin);
      batch.offsets = one_by_one ? std::span<const std::int32_t>(alone) : std::span<const std::int32_t>(inputs.offsets);
      FATHOM_TRY_VOID(session.run_backbone(batch));
      const auto out = session.hidden();
      std::copy(out.begin(), out.end(), hidden.begin() + static_cast<std::ptrdiff_t>(begin * width));
    }
    return {};
  }
};

// Row by row, so that no padded copy counts as memory of the run.
Status write_padded(const std::filesystem::path& path, const Inputs& in, const std::vector<float>& hidden,
                    std::size_t width) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  const auto put = [&](const float* from, std::size_t count) {
    file.write(reinterpret_cast<const char*>(from), static_cast<std::streamsize>(count * sizeof(float)));
  };
  const std::vector<float> nothing(width);
  if (in.values != nullptr)
    put(hidden.data(), hidden.size());
  else
    for (std::size_t s = 0; s < in.batch; ++s) {
      const std::size_t begin = static_cast<std::size_t>(in.offsets[s]),
                        tokens = static_cast<std::size_t>(in.offsets[s + 1]) - begin;
      put(hidden.data() + begin * width, tokens * width);
      for (std::size_t t = tokens; t < in.width; ++t) put(nothing.data(), width);
    }
  file.close();
  if (!file) return Error{Code::io, "'" + path.string() + "': cannot write", "free some disk space and run again"};
  return {};
}

std::filesystem::path bundle_of(std::map<std::string, std::string>& flags) {
  return flags["model"] + "." + flags["precision"] + ".bundle";
}

Result<std::shared_ptr<const engine::Plan>> compiled(const std::filesystem::path& folder, engine::Runtime& runtime) {
  FATHOM_TRY(const auto bundle, Bundle::open(folder));
  FATHOM_TRY(const auto model, Model::load(bundle));
  return engine::Plan::compile(model, runtime);
}

// The encoder as a bundle without decision; compiling it writes the packed weights for the machine's tier.
Status pack(std::map<std::string, std::string>& flags) {
  FATHOM_TRY(const Precision precision, parse_precision(flags["precision"]));
  FATHOM_TRY(const auto tensors, SafeTensors::open(flags["model"]));
  FATHOM_TRY(const ModelSpec spec, spec_of(*tensors, flags["workload"]));
  std::map<std::string, std::string> files = {{"config.json", "{}"}};
  std::map<std::string, std::filesystem::path> copies;
  if (spec.modality == Modality::text) {
    copies["model.safetensors"] = flags["model"];
  } else {  // ours by name and shape
    std::vector<NamedTensor> named;
    for (const TensorSpec& wanted : backbone_tensors(spec)) {
      const auto other = kVitNames.find(wanted.name);
      const TensorView* found = tensors->find(other == kVitNames.end() ? wanted.name : other->second);
      if (found == nullptr || found->elements() != elements_of(wanted.shape))
        return Error{Code::bad_input, flags["model"] + ": no tensor for " + wanted.name, "make bench prepares it"};
      named.push_back({wanted.name, {found->data, wanted.shape}});
    }
    for (const char* last : {"layernorm.weight", "layernorm.bias"}) named.push_back({last, *tensors->find(last)});
    files["model.safetensors"] = safetensors_bytes(named);
  }
  const std::filesystem::path folder = bundle_of(flags), plain = folder.string() + ".fp32";
  const Json fathom = {{"model", {{"spec", spec_to_json(spec)}, {"names", naming_to_json({})}}}};
  const bool smaller = precision != Precision::fp32;
  FATHOM_TRY_VOID(write_bundle(smaller ? plain : folder, files, fathom, copies));
  FATHOM_TRY(const auto runtime, engine::Runtime::create({flags["tier"], 0}));
  if (smaller) {  // as `fathom compress` does it, biases corrected on other inputs than those that are timed
    FATHOM_TRY(const auto plan, compiled(plain, *runtime));
    FATHOM_TRY(const auto sums, eval::input_sums(plan, *runtime, eval::random_inputs(spec, 64, 33, 7)));
    FATHOM_TRY_VOID(compress::to_precision(plain, folder, precision, &sums));
    std::error_code ignored;
    std::filesystem::remove_all(plain, ignored);
  }
  FATHOM_TRY(const auto plan, compiled(folder, *runtime));
  (void)plan;
  return {};
}

Result<Json> measure(std::map<std::string, std::string>& flags) {
  FATHOM_TRY(const Inputs inputs, read_inputs(flags["inputs"]));
  if (std::error_code ignored; !std::filesystem::exists(bundle_of(flags) / "fathom.json", ignored))
    FATHOM_TRY_VOID(pack(flags));
  const auto load = Clock::now();
  FATHOM_TRY(auto bundle, Bundle::open(bundle_of(flags)));
  FATHOM_TRY(auto model, Model::load(bundle));
  const ModelSpec& spec = model->spec();
  FATHOM_TRY(auto runtime, engine::Runtime::create({flags["tier"], std::atoi(flags["threads"].c_str())}));
  FATHOM_TRY(auto plan, engine::Plan::compile(model, *runtime));
  const bool text = spec.modality == Modality::text;
  FATHOM_TRY(auto session, engine::Session::create(plan, *runtime, {inputs.batch, text ? inputs.width : 0}));
  const double load_ms = eval::ms_since(load);

  const std::size_t width = static_cast<std::size_t>(spec.hidden);
  Run run{std::move(session),
          inputs,
          flags["workload"].ends_with("s"),
          bundle->weights()->find("layernorm.weight"),
          bundle->weights()->find("layernorm.bias"),
          {}};
  double last = 0.0;
  const auto warm = Clock::now();
  for (int n = 0; (n < 3 || eval::ms_since(warm) < 300.0) && (n == 0 || last <= 400.0); ++n) {
    const auto start = Clock::now();
    FATHOM_TRY_VOID(run.once(width));
    last = eval::ms_since(start);
  }
  std::vector<double> times, processor;
  double total = 0.0;
  while (times.size() < (last < 400.0 ? 20u : 5u) || (total < 1000.0 && times.size() < 400)) {
    const auto start = Clock::now();
    const double processor_start = processor_ms();
    FATHOM_TRY_VOID(run.once(width));
    times.push_back(eval::ms_since(start));
    processor.push_back(processor_ms() - processor_start);
    total += times.back();
  }
  FATHOM_TRY_VOID(write_padded(flags["output"], inputs, run.hidden, width));
  std::sort(times.begin(), times.end());
  return Json{{"precision", flags["precision"]},
              {"median_ms", eval::median(times)},
              {"min_ms", times[0]},
              {"cpu_ms", eval::median(processor)},
              {"mean_ms", total / static_cast<double>(times.size())},
              {"runs", times.size()},
              {"load_ms", load_ms},
              {"tier", runtime->kernels().name},
              {"threads", runtime->pool().threads()},
              {"tokens", text ? inputs.ids.size() : inputs.batch * inputs.width},
              {"model_mb", static_cast<double>(plan->weight_bytes(spec.layers)) / 1e6}};
}

}  // namespace

int main(int argc, char** argv) {
  std::map<std::string, std::string> flags = {{"precision", "fp32"}, {"threads", "1"}, {"tier", "auto"}};
  const bool only_pack = argc > 1 && std::string(argv[1]) == "--pack";
  for (int i = only_pack ? 2 : 1; i + 1 < argc; i += 2) flags[std::string(argv[i]).substr(2)] = argv[i + 1];
  for (const char* needed : {"model", "inputs", "output", "workload"})
    if (flags[needed].empty() && (!only_pack || std::string(needed) == "model")) {
      std::fprintf(stderr, "peer_row: --%s is missing\n", needed);
      return 2;
    }
  if (only_pack) {
    const Status packed = pack(flags);
    if (!packed) std::fprintf(stderr, "peer_row: %s\n", packed.error().message.c_str());
    return packed ? 0 : 3;
  }
  const auto row = measure(flags);
  if (!row) {
    std::fprintf(stderr, "peer_row: %s%s%s\n", row.error().message.c_str(), row.error().hint.empty() ? "" : "; ",
                 row.error().hint.c_str());
    return 3;
  }
  std::printf("%s\n", row->dump().c_str());
  return 0;
}
