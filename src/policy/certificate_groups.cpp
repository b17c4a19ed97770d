#include "policy/certificate_groups.h"

#include <algorithm>

namespace fathom::policy {
namespace {

constexpr std::size_t kBuckets = 3;

std::vector<std::int32_t> classes_of(const Trace& trace, bool labels) {
  if (labels) return trace.labels;
  const std::size_t layers = static_cast<std::size_t>(trace.layers);
  std::vector<std::int32_t> out;
  for (std::size_t i = 0; i < trace.size(); ++i) out.push_back(trace.predictions[(i + 1) * layers - 1]);
  return out;
}

// Bucket b holds lengths above edges[b - 1], up to and with edges[b].
std::vector<std::int32_t> buckets_of(const Trace& trace, const std::vector<std::int32_t>& edges) {
  std::vector<std::int32_t> out;
  for (const std::int32_t tokens : trace.tokens)
    out.push_back(static_cast<std::int32_t>(std::lower_bound(edges.begin(), edges.end(), tokens) - edges.begin()));
  return out;
}

}  // namespace

const char* group_by_name(GroupBy by) {
  constexpr const char* kNames[] = {"none", "label", "answer", "length"};
  return kNames[static_cast<std::size_t>(by)];
}

Result<Groups> groups_by_class(const Trace& tune, const Trace& calibrate, const std::vector<std::string>& class_names) {
  const bool labels = tune.labels.size() == tune.size() && calibrate.labels.size() == calibrate.size();
  return Groups{labels ? GroupBy::label : GroupBy::answer, class_names, classes_of(tune, labels),
                classes_of(calibrate, labels)};
}

Result<Groups> groups_by_length(const Trace& tune, const Trace& calibrate) {
  std::vector<std::int32_t> sorted = tune.tokens, edges;
  std::sort(sorted.begin(), sorted.end());
  for (std::size_t k = 1; k < kBuckets && !sorted.empty(); ++k) {
    const std::int32_t edge = sorted[(sorted.size() * k - 1) / kBuckets];
    if (edge < sorted.back() && (edges.empty() || edge > edges.back())) edges.push_back(edge);
  }
  if (edges.empty())
    return Error{Code::bad_input, "the tune split's inputs have one length: there are no groups by length",
                 "--groups class, or none"};
  Groups out{GroupBy::length, {}, buckets_of(tune, edges), buckets_of(calibrate, edges)};
  for (std::size_t b = 0; b < edges.size(); ++b)
    out.names.push_back(std::to_string(b == 0 ? 1 : edges[b - 1] + 1) + " to " + std::to_string(edges[b]) + " tokens");
  out.names.push_back(std::to_string(edges.back() + 1) + " tokens or more");
  return out;
}

}  // namespace fathom::policy
