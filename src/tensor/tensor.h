// Owned, 64-byte aligned storage and read-only views of named tensors.
// Buffer is the only owner of bytes; views never own. Numbers begin as 0, and a large buffer's pages cost no memory
// until they are written. Thread rule: plain values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace fathom {

// Fixed-size aligned array. Throws std::bad_alloc (caught where a Plan or Session is built).
template <class T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::size_t count) : size_(count) {
    if (count == 0) return;
    constexpr std::size_t kAlign = 64;
    if (count > (SIZE_MAX - kAlign) / sizeof(T)) throw std::bad_alloc();
    block_.reset(std::calloc(count * sizeof(T) + kAlign, 1));  // zero pages of the kernel, not written here
    if (block_ == nullptr) throw std::bad_alloc();
    data_ = reinterpret_cast<T*>((reinterpret_cast<std::uintptr_t>(block_.get()) + kAlign - 1) / kAlign * kAlign);
    if constexpr (!std::is_arithmetic_v<T> && !std::is_enum_v<T>)
      for (std::size_t i = 0; i < count; ++i) new (data_ + i) T{};
  }
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    swap(other);
    return *this;
  }
  T* data() { return data_; }
  const T* data() const { return data_; }
  std::size_t size() const { return size_; }
  T& operator[](std::size_t i) { return data_[i]; }
  const T& operator[](std::size_t i) const { return data_[i]; }
  std::span<T> span() { return {data_, size_}; }
  std::span<const T> span() const { return {data_, size_}; }

 private:
  struct Free {
    void operator()(void* block) const { std::free(block); }
  };
  void swap(Buffer& other) {
    std::swap(block_, other.block_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }
  static_assert(std::is_trivially_destructible_v<T>, "elements are not destroyed one by one");

  std::unique_ptr<void, Free> block_;
  T* data_ = nullptr;
  std::size_t size_ = 0;
};

inline std::int64_t elements_of(const std::vector<std::int64_t>& shape) {
  std::int64_t n = 1;
  for (const auto d : shape) n *= d;
  return n;
}

// A float32 tensor somewhere else: row-major, contiguous, valid as long as its owner lives.
struct TensorView {
  const float* data = nullptr;
  std::vector<std::int64_t> shape;
  std::int64_t elements() const { return elements_of(shape); }
};

std::string shape_text(const std::vector<std::int64_t>& shape);  // "[768, 64]"

}  // namespace fathom
