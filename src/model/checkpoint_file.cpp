#include "model/checkpoint_file.h"

#include <algorithm>

#include "base/check.h"
#include "model/model.h"

namespace fathom {
namespace {

struct FileTensor {
  std::vector<std::int64_t> shape;
  std::vector<float> values;
  bool whole = false;  // filled from `before`
};

class Writer {
 public:
  Writer(const ModelSpec& spec, const SafeTensors& before, const Naming& from, const Naming& to)
      : spec_(spec), before_(before), from_(from), to_(to) {}

  Status add(const TensorSpec& wanted, const std::map<std::string, TensorView>& values) {
    const auto old = sources_of(spec_, from_, wanted), now = sources_of(spec_, to_, wanted);
    FATHOM_CHECK(old.size() == now.size(), "both namings are of one family");
    const auto value = values.find(wanted.name);
    for (std::size_t i = 0; i < now.size(); ++i) {
      FileTensor& tensor = start(old[i], now[i]);
      if (value == values.end()) {
        if (!tensor.whole)
          return Error{Code::bad_input, "'" + before_.path().string() + "': tensor '" + old[i].name + "' is missing",
                       "config.json and the weights do not belong together"};
        continue;
      }
      FATHOM_CHECK(value->second.shape == wanted.shape, "a new tensor has the shape of the old one");
      put(value->second, i, now.size(), tensor.values.data() + now[i].offset);
    }
    return {};
  }

  std::string bytes() const {
    std::vector<NamedTensor> tensors;
    for (const std::string& name : order_)
      tensors.push_back({name, {tensors_.at(name).values.data(), tensors_.at(name).shape}});
    return safetensors_bytes(tensors);
  }

 private:
  FileTensor& start(const TensorSource& old, const TensorSource& now) {
    const auto [at, fresh] = tensors_.try_emplace(now.name);
    if (!fresh) return at->second;
    order_.push_back(now.name);
    at->second.shape = now.shape;
    at->second.values.assign(static_cast<std::size_t>(elements_of(now.shape)), 0.0f);
    std::string name = old.name;
    const TensorView* view = find_named(before_, name);
    if (view != nullptr && view->shape == now.shape) {
      std::copy_n(before_.find(name)->data, at->second.values.size(), at->second.values.begin());
      at->second.whole = true;
    }
    return at->second;
  }

  // One of `parts` outputs that are averaged gets its half of the columns, doubled, and the whole bias (model.cpp joins
  // them).
  static void put(const TensorView& value, std::size_t part, std::size_t parts, float* to) {
    if (parts == 1 || value.shape.size() == 1) {
      std::copy_n(value.data, value.elements(), to);
      return;
    }
    const std::int64_t width = value.shape[1], half = width / 2;
    for (std::int64_t row = 0; row < value.shape[0]; ++row)
      for (std::int64_t i = 0; i < half; ++i)
        to[row * half + i] = 2.0f * value.data[row * width + static_cast<std::int64_t>(part) * half + i];
  }

  const ModelSpec& spec_;
  const SafeTensors& before_;
  const Naming &from_, &to_;
  std::map<std::string, FileTensor> tensors_;
  std::vector<std::string> order_;
};

}  // namespace

Result<std::string> checkpoint_bytes(const ModelSpec& spec, const SafeTensors& before, const Naming& from,
                                     const Naming& to, const std::map<std::string, TensorView>& values) {
  Writer writer(spec, before, from, to);
  for (const auto& wanted : {backbone_tensors(spec), task_head_tensors(spec)})
    for (const TensorSpec& tensor : wanted) FATHOM_TRY_VOID(writer.add(tensor, values));
  return writer.bytes();
}

}  // namespace fathom
