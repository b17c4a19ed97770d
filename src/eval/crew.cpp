#include "eval/crew.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <string>

namespace fathom::eval {
namespace {

constexpr std::size_t kMostSessions = 32;  // each has buffers of its own

// What the threads share: the next batch, and the first error in the order of the batches.
struct Board {
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::size_t done = 0, failed_at = 0;
  std::optional<Error> error;
};

}  // namespace

Status for_batches(const std::shared_ptr<const engine::Plan>& plan, engine::Runtime& runtime, const Encoded& inputs,
                   const OnBatch& on_batch, const Tick& tick) {
  const std::size_t batches = (inputs.count + kCrewBatch - 1) / kCrewBatch;
  if (batches == 0) return {};
  const std::size_t workers = std::min({static_cast<std::size_t>(runtime.pool().threads()), batches, kMostSessions});
  FATHOM_TRY(const auto alone, engine::Runtime::create({tier_name(runtime.kernels().tier), 1}));
  const engine::SessionLimits limits = limits_for(inputs, std::min(kCrewBatch, inputs.count));
  std::vector<engine::Session> sessions;
  for (std::size_t w = 0; w < workers; ++w) {
    FATHOM_TRY(engine::Session session, engine::Session::create(plan, workers > 1 ? *alone : runtime, limits));
    sessions.push_back(std::move(session));
  }
  Board board;
  std::vector<std::vector<std::int32_t>> offsets(workers, std::vector<std::int32_t>(kCrewBatch + 1));
  runtime.pool().parallel(static_cast<int>(workers), [&](int worker) {
    const std::size_t w = static_cast<std::size_t>(worker);
    for (std::size_t b = board.next.fetch_add(1); b < batches; b = board.next.fetch_add(1)) {
      const std::size_t first = b * kCrewBatch, count = std::min(kCrewBatch, inputs.count - first);
      const Status status = on_batch(sessions[w], batch_of(inputs, first, count, offsets[w]), first);
      std::lock_guard lock(board.mutex);
      if (status) {
        board.done += count;
        if (tick) tick(board.done, inputs.count);
        continue;
      }
      if (!board.error || first < board.failed_at) board.error = status.error(), board.failed_at = first;
      board.next.store(batches);  // batches before this one were all taken: the first error is found for certain
    }
  });
  if (board.error) return board.error->within("inputs from number " + std::to_string(board.failed_at + 1));
  return {};
}

}  // namespace fathom::eval
