// Errors as values. Every fallible function across rooms returns Result<T>; exceptions cross no room.
// An Error says what failed, where, what was expected and got (message), and what to do next (hint).
// Thread rule: plain values, no shared state.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "base/check.h"

namespace fathom {

// The number is the stable code printed as FTH-<number>; its hundreds digit is the exit code.
enum class Code : int {
  internal = 101,          // a bug of ours
  io = 102,                // the operating system refused a read or write
  usage = 201,             // a flag is missing, unknown or out of range
  invalid_argument = 202,  // an API argument is out of range
  bad_input = 301,         // a data file is damaged or does not fit the task
  corrupt_bundle = 302,    // a bundle is cut short, damaged or inconsistent
  unsupported = 303,       // well-formed, but not something this version runs
  out_of_memory = 401,
  limit = 402,      // a stated limit (size, rows, pixels) was passed
  quality = 501,    // a quality gate failed
  cancelled = 130,  // interrupted by the user; state is usable
};

struct Error {
  Code code = Code::internal;
  std::string message;  // what failed, where, expected vs got
  std::string hint;     // the next thing to do; may be empty

  // The same error with `where` put in front: "bundle 'm': tensor 'x': 12 bytes short".
  [[nodiscard]] Error within(const std::string& where) const { return {code, where + ": " + message, hint}; }
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit by design
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT
  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }
  T& value() & {
    FATHOM_CHECK(has_value(), "Result holds an error");
    return std::get<0>(state_);
  }
  const T& value() const& {
    FATHOM_CHECK(has_value(), "Result holds an error");
    return std::get<0>(state_);
  }
  T&& value() && {
    FATHOM_CHECK(has_value(), "Result holds an error");
    return std::get<0>(std::move(state_));
  }
  const Error& error() const& {
    FATHOM_CHECK(!has_value(), "Result holds a value");
    return std::get<1>(state_);
  }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT
  bool has_value() const { return !error_; }
  explicit operator bool() const { return has_value(); }
  const Error& error() const {
    FATHOM_CHECK(error_.has_value(), "Result holds a value");
    return *error_;
  }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

}  // namespace fathom

#define FATHOM_CONCAT_(a, b) a##b
#define FATHOM_CONCAT(a, b) FATHOM_CONCAT_(a, b)
// FATHOM_TRY(auto x, expr): x = value, or return the error.  FATHOM_TRY_VOID(expr): the same without a value.
#define FATHOM_TRY(decl, expr)                                                                  \
  auto FATHOM_CONCAT(try_, __LINE__) = (expr);                                                  \
  if (!FATHOM_CONCAT(try_, __LINE__).has_value()) return FATHOM_CONCAT(try_, __LINE__).error(); \
  decl = std::move(FATHOM_CONCAT(try_, __LINE__)).value()
#define FATHOM_TRY_VOID(expr)                             \
  do {                                                    \
    auto try_void_ = (expr);                              \
    if (!try_void_.has_value()) return try_void_.error(); \
  } while (0)
