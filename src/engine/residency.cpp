#include "engine/residency.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/file.h"

namespace fathom::engine {
namespace {

constexpr double kKeep = 0.9;    // weight of the past in the moving average, an input
constexpr double kLikely = 0.5;  // chance, or share of a layer's inputs, from which the next layer is read ahead

}  // namespace

Residency::Residency(std::vector<std::span<const std::byte>> layers, std::size_t budget, bool forget)
    : forget_(forget) {
  for (const auto& bytes : layers) {
    Layer layer;
    layer.bytes = bytes;
    layers_.push_back(layer);
    MappedFile::release(bytes, forget);  // what was touched while it was made or by another session
  }
  report_.budget_bytes = budget;
}

void Residency::start(std::size_t inputs) {
  if (inputs == 0) return;
  const double kept = std::pow(kKeep, static_cast<double>(inputs));
  weight_ = (1 - kept) / static_cast<double>(inputs);
  for (Layer& layer : layers_) layer.chosen *= kept;
  expected_ = 0;
}

void Residency::seed(std::span<const double> shares) {
  for (std::size_t l = 0; l < layers_.size() && l < shares.size(); ++l) layers_[l].chosen = shares[l];
}

void Residency::expect(std::uint64_t trajectory) { expected_ = trajectory; }

void Residency::outlook(double chance) { outlook_ = chance; }

void Residency::enter(std::size_t index, std::size_t inputs) {
  Layer& layer = layers_[index];
  layer.chosen += weight_ * static_cast<double>(inputs);
  layer.used = ++clock_;
  if (layer.held) {
    ++report_.hits;
  } else {
    const auto begin = std::chrono::steady_clock::now();
    if (layer.reading)
      ++report_.read_ahead;
    else
      ++report_.misses;
    if (!layer.reading) make_room(layer.bytes.size(), index);
    MappedFile::populate(layer.bytes);
    if (!layer.reading) report_.held_bytes += layer.bytes.size();
    layer.held = true;
    layer.reading = false;
    report_.most_held_bytes = std::max(report_.most_held_bytes, report_.held_bytes);
    report_.stall_seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }
  read_ahead(index);
  outlook_ = -1;
}

// Evicts the layers chosen least, of equals the one that ran last (it comes again the latest), until `bytes` more fit.
void Residency::make_room(std::size_t bytes, std::size_t keep) {
  while (report_.held_bytes + bytes > report_.budget_bytes) {
    Layer* least = nullptr;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      Layer& layer = layers_[i];
      if (i == keep || (!layer.held && !layer.reading)) continue;
      if (least == nullptr || layer.chosen < least->chosen ||
          (layer.chosen == least->chosen && layer.used > least->used))
        least = &layer;
    }
    if (least == nullptr) return;
    MappedFile::release(least->bytes, forget_);
    report_.held_bytes -= least->bytes.size();
    least->held = least->reading = false;
    ++report_.evictions;
  }
}

bool Residency::expected_after(std::size_t layer, std::size_t next) const {
  if (expected_ != 0) return (expected_ >> next & 1) != 0;
  if (next == layer + 1 && outlook_ >= 0) return outlook_ >= kLikely;
  return next == layer + 1 && layers_[next].chosen >= kLikely * layers_[layer].chosen;
}

// Only into room that both layers fit: with less the next one would push out the one that runs.
void Residency::read_ahead(std::size_t after) {
  std::size_t next = after + 1;
  while (next < layers_.size() && !expected_after(after, next)) ++next;
  if (next >= layers_.size() || layers_[next].held || layers_[next].reading) return;
  Layer& layer = layers_[next];
  if (layers_[after].bytes.size() + layer.bytes.size() > report_.budget_bytes) return;
  make_room(layer.bytes.size(), after);
  MappedFile::prefetch(layer.bytes);
  layer.reading = true;
  report_.held_bytes += layer.bytes.size();
}

}  // namespace fathom::engine
