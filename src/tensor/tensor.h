// Owned, 64-byte aligned float storage and read-only views of named tensors.
// Buffer is the only owner of bytes; views never own. Thread rule: plain values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <vector>

namespace fathom {

// Fixed-size aligned array. Throws std::bad_alloc (caught where a Plan or Session is built).
template <class T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::size_t count)
      : data_(count == 0 ? nullptr : static_cast<T*>(::operator new[](count * sizeof(T), std::align_val_t{64}))), size_(count) {
    for (std::size_t i = 0; i < count; ++i) data_.get()[i] = T{};
  }
  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  std::size_t size() const { return size_; }
  T& operator[](std::size_t i) { return data_.get()[i]; }
  const T& operator[](std::size_t i) const { return data_.get()[i]; }
  std::span<T> span() { return {data_.get(), size_}; }
  std::span<const T> span() const { return {data_.get(), size_}; }

 private:
  struct Free {
    void operator()(T* p) const { ::operator delete[](p, std::align_val_t{64}); }
  };
  std::unique_ptr<T[], Free> data_;
  std::size_t size_ = 0;
};

// A float32 tensor somewhere else: row-major, contiguous, valid as long as its owner lives.
struct TensorView {
  const float* data = nullptr;
  std::vector<std::int64_t> shape;
  std::int64_t elements() const {
    std::int64_t n = 1;
    for (const auto d : shape) n *= d;
    return n;
  }
};

std::string shape_text(const std::vector<std::int64_t>& shape);  // "[768, 64]"

}  // namespace fathom
