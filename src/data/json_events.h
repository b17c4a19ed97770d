// A JSON text (RFC 8259, strict) as events, about ten times as fast as building a tree of it: files whose lists hold
// tens of thousands of short strings are read while a program starts. Memory: one string. Depth is bounded; duplicate
// keys, meaning and everything else are the handler's matter. Thread rule: a pure function of the text and the handler.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace fathom::data {

// Each event returns whether to go on. Texts are valid UTF-8 and live as long as the call.
class JsonHandler {
 public:
  virtual ~JsonHandler() = default;
  virtual bool null() = 0;
  virtual bool boolean(bool flag) = 0;
  virtual bool integer(std::int64_t number) = 0;   // below 0
  virtual bool natural(std::uint64_t number) = 0;  // from 0 on
  virtual bool real(double number) = 0;            // with a point, an exponent, or too long for the others; finite
  virtual bool text(std::string_view value) = 0;
  virtual bool key(std::string_view name) = 0;
  virtual bool open_object() = 0;
  virtual bool open_list() = 0;
  virtual bool close() = 0;  // of the object or list opened last
};

// The byte at which `text` stops being JSON, or nothing: it is, or the handler did not want to go on.
std::optional<std::size_t> read_json_events(std::string_view text, JsonHandler& handler);

}  // namespace fathom::data
