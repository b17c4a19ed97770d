// How this thread's processor rounds and what it does with denormals, set to what the engine's bits are made with: to
// nearest, denormals kept, exceptions masked; and given back as it was, sticky flags too, at the end of the scope. A
// host program may have set its threads otherwise (fast-math libraries flush to zero when they are loaded; interval
// arithmetic rounds up): it then reads the same answers, and finds its own setting again.
// Cost: tens of cycles, so once a public call and once a worker thread, never in a loop over inputs. Scopes may nest.
// Thread rule: about the calling thread alone. A new thread begins with its maker's setting.
#pragma once

#include <cstdint>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace fathom {

class FloatEnvironment {
 public:
  FloatEnvironment() : control_(control()), status_(status()) { set(kControl, kStatus); }
  FloatEnvironment(const FloatEnvironment&) = delete;
  FloatEnvironment& operator=(const FloatEnvironment&) = delete;
  ~FloatEnvironment() { set(control_, status_); }

 private:
#if defined(__x86_64__)
  // MXCSR, setting and flags; and the control word of x87, which glibc asks how to round when it reads or prints
  // numbers.
  static constexpr std::uint64_t kControl = 0x1F80, kStatus = 0x037F;
  static std::uint64_t control() { return _mm_getcsr(); }
  static std::uint64_t status() {
    std::uint16_t word = 0;
    __asm__ volatile("fnstcw %0" : "=m"(word));
    return word;
  }
  static void set(std::uint64_t control, std::uint64_t status) {
    const auto word = static_cast<std::uint16_t>(status);
    _mm_setcsr(static_cast<unsigned>(control));
    __asm__ volatile("fldcw %0" : : "m"(word));
  }
#elif defined(__aarch64__)
  static constexpr std::uint64_t kControl = 0, kStatus = 0;
  static std::uint64_t control() {
    std::uint64_t value = 0;
    __asm__ volatile("mrs %0, fpcr" : "=r"(value));
    return value;
  }
  static std::uint64_t status() {
    std::uint64_t value = 0;
    __asm__ volatile("mrs %0, fpsr" : "=r"(value));
    return value;
  }
  static void set(std::uint64_t control, std::uint64_t status) {
    __asm__ volatile("msr fpcr, %0\n\tmsr fpsr, %1" : : "r"(control), "r"(status) : "memory");
  }
#else
  static constexpr std::uint64_t kControl = 0, kStatus = 0;
  static std::uint64_t control() { return 0; }
  static std::uint64_t status() { return 0; }
  static void set(std::uint64_t, std::uint64_t) {}
#endif

  std::uint64_t control_, status_;
};

}  // namespace fathom
