#include "api/stream.h"

#include <algorithm>

namespace fathom::api {

Stream::Stream(std::shared_ptr<Opened> opened, engine::Stream stream)
    : opened_(std::move(opened)), stream_(std::move(stream)), encoding_(opened_), finished_(stream_.room()) {}

Result<Stream> Stream::create(std::shared_ptr<Opened> opened, std::size_t most, const engine::RunOptions& options) {
  engine::SessionLimits limits;
  limits.max_batch = most;
  FATHOM_TRY(auto stream, engine::Stream::create(opened->plan, *opened->runtime, limits, options));
  return Stream(std::move(opened), std::move(stream));
}

template <class Input>
Result<std::size_t> Stream::submit(std::span<const Input> inputs) {
  FATHOM_TRY_VOID(encoding_.takes(inputs));
  const auto taking = inputs.first(std::min(inputs.size(), stream_.room()));
  if (taking.empty()) return std::size_t{0};
  outcomes_.assign(taking.size(), Outcome{});
  FATHOM_TRY(const engine::Batch batch, encoding_.encode(taking, outcomes_));
  FATHOM_TRY(const engine::Taken taken, stream_.submit(batch));
  for (std::size_t i = 0; i < taken.count; ++i) held_.emplace(taken.first_ticket + i, outcomes_[i]);
  return taken.count;
}

template Result<std::size_t> Stream::submit(std::span<const std::string>);
template Result<std::size_t> Stream::submit(std::span<const TextPair>);
template Result<std::size_t> Stream::submit(std::span<const data::Picture>);

std::vector<std::pair<std::uint64_t, Outcome>> Stream::drain() {
  std::vector<std::pair<std::uint64_t, Outcome>> done(stream_.drain(finished_));
  for (std::size_t i = 0; i < done.size(); ++i) {
    const auto held = held_.find(finished_[i].ticket);
    done[i] = {held->first, held->second};
    done[i].second.prediction = finished_[i].prediction;
    held_.erase(held);
  }
  return done;
}

}  // namespace fathom::api
