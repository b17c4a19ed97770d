#include "eval/frozen_states.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/file.h"
#include "base/json.h"

namespace fathom::eval {
namespace {

constexpr std::size_t kBatch = 32, kBatchesASave = 32;

// One file that is written in pieces, anywhere.
class Sheet {
 public:
  static Result<Sheet> open(const fs::path& path) {
    Sheet sheet;
    sheet.path_ = path;
    sheet.fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (sheet.fd_ < 0) return sheet.failed("cannot open");
    return sheet;
  }
  Sheet() = default;
  Sheet(Sheet&& other) noexcept : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}
  Sheet& operator=(Sheet&&) = delete;
  ~Sheet() {
    if (fd_ >= 0) ::close(fd_);
  }
  Status put(std::size_t at, const void* data, std::size_t bytes) {
    const char* from = static_cast<const char*>(data);
    while (bytes > 0) {
      const ssize_t wrote = ::pwrite(fd_, from, bytes, static_cast<off_t>(at));
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote <= 0) return failed("cannot write");
      from += wrote, at += static_cast<std::size_t>(wrote), bytes -= static_cast<std::size_t>(wrote);
    }
    return {};
  }
  Status cut() { return ::ftruncate(fd_, 0) == 0 ? Status{} : Status(failed("cannot cut")); }
  Status sync() { return ::fdatasync(fd_) == 0 ? Status{} : Status(failed("cannot write")); }

 private:
  Error failed(const char* what) const {
    return {Code::io, "'" + path_.string() + "': " + what + ": " + std::strerror(errno), "is there room on the disk?"};
  }
  fs::path path_;
  int fd_ = -1;
};

// Rows done before, of the same key and shape; 0 if nothing can be kept.
std::size_t done_before(const fs::path& path, const Json& want) {
  const auto text = read_file(path, 1 << 20);
  if (!text) return 0;
  const auto json = parse_json(*text, path.string());
  if (!json || !json->is_object() || !json->contains("done") || !(*json)["done"].is_number_unsigned()) return 0;
  Json same = *json;
  const std::size_t done = same["done"].get<std::size_t>();
  same.erase("done");
  return same == want ? done : 0;
}

}  // namespace

Status write_frozen_states(std::shared_ptr<const engine::Plan> plan, engine::Runtime& runtime, const Encoded& inputs,
                           const std::filesystem::path& folder, const std::string& part, const std::string& key,
                           bool with_start, const Tick& tick) {
  const ModelSpec& spec = plan->spec();
  const std::size_t hidden = static_cast<std::size_t>(spec.hidden), width = 2 * hidden,
                    classes = static_cast<std::size_t>(spec.classes());
  const std::size_t exits = static_cast<std::size_t>(spec.layers - 1), rows = inputs.count;
  const engine::SessionLimits limits = limits_for(inputs, kBatch);
  const std::size_t longest = limits.max_tokens;
  const Json want = {{"key", key},         {"rows", rows},       {"exits", exits},     {"width", width},
                     {"classes", classes}, {"longest", longest}, {"start", with_start}};
  std::error_code error;
  fs::create_directories(folder, error);
  if (error)
    return Error{Code::io, "cannot make '" + folder.string() + "': " + error.message(), "choose another output folder"};
  const fs::path facts = folder / (part + ".json");
  std::size_t done = std::min(done_before(facts, want), rows);
  const auto sheet = [&](const char* what) { return Sheet::open(folder / (part + "." + what + ".bin")); };
  FATHOM_TRY(Sheet states, sheet("states"));
  FATHOM_TRY(Sheet last, sheet("last"));
  FATHOM_TRY(Sheet labels, sheet("labels"));
  FATHOM_TRY(Sheet lengths, sheet("lengths"));
  FATHOM_TRY(Sheet start, sheet("start"));
  if (inputs.labels.empty()) FATHOM_TRY_VOID(labels.cut());  // none are known
  FATHOM_TRY_VOID(labels.put(0, inputs.labels.data(), inputs.labels.size() * sizeof(std::int32_t)));
  FATHOM_TRY_VOID(lengths.put(0, inputs.tokens.data(), inputs.tokens.size() * sizeof(std::int32_t)));

  FATHOM_TRY(auto session, engine::Session::create(plan, runtime, limits));
  std::vector<float> pooled(exits * kBatch * width), logits(kBatch * classes),
      first(with_start ? kBatch * longest * hidden : 0), padded;
  std::vector<std::int32_t> offsets;
  const auto save = [&]() -> Status {
    for (Sheet* each : {&states, &last, &labels, &lengths, &start}) FATHOM_TRY_VOID(each->sync());
    Json now = want;
    now["done"] = done;
    return write_file_atomic(facts, now.dump() + "\n");
  };
  for (std::size_t batches = 0; done < rows; ++batches) {
    const std::size_t count = std::min(kBatch, rows - done);
    FATHOM_TRY_VOID(session.run_states(batch_of(inputs, done, count, offsets), pooled, logits, first));
    for (std::size_t e = 0; e < exits; ++e)
      FATHOM_TRY_VOID(states.put((e * rows + done) * width * sizeof(float), pooled.data() + e * count * width,
                                 count * width * sizeof(float)));
    FATHOM_TRY_VOID(last.put(done * classes * sizeof(float), logits.data(), count * classes * sizeof(float)));
    if (with_start) {
      padded.assign(count * longest * hidden, 0.0f);
      const float* from = first.data();
      for (std::size_t i = 0; i < count; ++i) {
        const std::size_t floats = static_cast<std::size_t>(inputs.tokens[done + i]) * hidden;
        std::copy_n(from, floats, padded.data() + i * longest * hidden);
        from += floats;
      }
      FATHOM_TRY_VOID(start.put(done * longest * hidden * sizeof(float), padded.data(), padded.size() * sizeof(float)));
    }
    done += count;
    if (tick) tick(done, rows);
    if ((batches + 1) % kBatchesASave == 0) FATHOM_TRY_VOID(save());
  }
  return save();
}

}  // namespace fathom::eval
