#include "data/json_events.h"

#include <charconv>
#include <cmath>
#include <string>
#include <vector>

#include "data/utf8.h"

namespace fathom::data {
namespace {

constexpr std::size_t kMaxDepth = 512;

class Scanner {
 public:
  Scanner(std::string_view text, JsonHandler& handler) : text_(text), handler_(handler) {}

  std::optional<std::size_t> run() {
    if (!is_utf8(text_)) return 0;
    bool value_next = true;  // else a comma or the end of what is open
    do {
      skip_space();
      if (!(value_next ? value() : after_value())) return stopped_ ? std::nullopt : std::optional(at_);
      value_next = value_wanted_;
    } while (!open_.empty() || value_next);
    skip_space();
    return at_ == text_.size() ? std::nullopt : std::optional(at_);
  }

 private:
  enum class Inside : char { object, list };

  bool more() const { return at_ < text_.size(); }
  bool tell(bool go_on) {
    stopped_ = stopped_ || !go_on;
    return go_on;
  }
  void skip_space() {
    while (more() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r')) ++at_;
  }
  bool take(char wanted) {
    if (!more() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }
  bool word(std::string_view wanted) {
    if (text_.substr(at_, wanted.size()) != wanted) return false;
    at_ += wanted.size();
    return true;
  }

  // One value, or what opens one. Afterwards value_wanted_ says whether another follows without a comma.
  bool value() {
    value_wanted_ = false;
    if (!more()) return false;
    switch (text_[at_]) {
      case '{':
        ++at_;
        return open(Inside::object) && tell(handler_.open_object()) && first_key();
      case '[':
        ++at_;
        if (!open(Inside::list) || !tell(handler_.open_list())) return false;
        skip_space();
        value_wanted_ = !more() || text_[at_] != ']';
        return true;
      case '"': {
        std::string_view value;
        return string(value) && tell(handler_.text(value));
      }
      case 't':
        return word("true") && tell(handler_.boolean(true));
      case 'f':
        return word("false") && tell(handler_.boolean(false));
      case 'n':
        return word("null") && tell(handler_.null());
      default:
        return number();
    }
  }

  bool open(Inside kind) {
    if (open_.size() == kMaxDepth) return false;
    open_.push_back(kind);
    return true;
  }
  bool first_key() {
    skip_space();
    return (more() && text_[at_] == '}') || key();
  }
  bool key() {
    std::string_view name;
    if (!more() || text_[at_] != '"' || !string(name) || !tell(handler_.key(name))) return false;
    skip_space();
    value_wanted_ = true;
    return take(':');
  }

  bool after_value() {
    const bool object = open_.back() == Inside::object;
    if (take(object ? '}' : ']')) {
      open_.pop_back();
      value_wanted_ = false;
      return tell(handler_.close());
    }
    if (!take(',')) return false;
    if (!object) return value_wanted_ = true;
    skip_space();
    return key();
  }

  // At a quote. The text between the quotes is given as it lies unless something in it is escaped.
  bool string(std::string_view& out) {
    std::size_t run = ++at_;
    bool escaped = false;
    for (;; ++at_) {
      if (!more()) return false;
      const auto c = static_cast<unsigned char>(text_[at_]);
      if (c >= 0x20 && c != '"' && c != '\\') continue;
      if (c < 0x20) return false;
      if (!escaped && c == '"') {
        out = text_.substr(run, at_++ - run);
        return true;
      }
      if (!escaped) scratch_.clear();
      escaped = true;
      scratch_.append(text_, run, at_ - run);
      if (c == '"') break;
      ++at_;
      if (!escape()) return false;
      run = at_ + 1;
    }
    ++at_;
    out = scratch_;
    return true;
  }

  // At the character behind a backslash; stays on the last one of the escape.
  bool escape() {
    if (!more()) return false;
    constexpr std::string_view kNames = "\"\\/bfnrt", kMeant = "\"\\/\b\f\n\r\t";
    const std::size_t which = kNames.find(text_[at_]);
    if (which != std::string_view::npos) {
      scratch_ += kMeant[which];
      return true;
    }
    std::uint32_t code = 0, low = 0;
    if (text_[at_] != 'u' || !hex(code)) return false;
    if (code >= 0xDC00 && code < 0xE000) return false;  // a second half alone
    if (code >= 0xD800 && code < 0xDC00) {
      if (text_.substr(at_ + 1, 2) != "\\u") return false;
      at_ += 2;
      if (!hex(low) || low < 0xDC00 || low >= 0xE000) return false;
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    append_utf8(code, scratch_);
    return true;
  }
  bool hex(std::uint32_t& code) {  // at 'u'; stays on the last digit
    if (text_.size() - at_ < 5) return false;
    const char* first = text_.data() + at_ + 1;
    const auto read = std::from_chars(first, first + 4, code, 16);
    if (read.ec != std::errc() || read.ptr != first + 4) return false;
    at_ += 4;
    return true;
  }

  bool digits() {
    const std::size_t first = at_;
    while (more() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
    return at_ > first;
  }
  bool number() {
    const std::size_t begin = at_;
    const bool negative = take('-');
    if (!take('0') && !digits()) return false;
    bool whole = true;
    if (take('.')) {
      whole = false;
      if (!digits()) return false;
    }
    if (more() && (text_[at_] == 'e' || text_[at_] == 'E')) {
      whole = false;
      ++at_;
      if (!take('+')) take('-');
      if (!digits()) return false;
    }
    const char *first = text_.data() + begin, *last = text_.data() + at_;
    std::uint64_t natural = 0;
    std::int64_t integer = 0;
    if (whole && !negative && std::from_chars(first, last, natural).ec == std::errc())
      return tell(handler_.natural(natural));
    if (whole && negative && std::from_chars(first, last, integer).ec == std::errc())
      return tell(handler_.integer(integer));
    double real = 0;
    if (std::from_chars(first, last, real).ec == std::errc::result_out_of_range && !underflows(first, last))
      return false;
    return tell(handler_.real(real));
  }
  // from_chars says "out of range" of both ends; too small is 0.
  static bool underflows(const char* first, const char* last) {
    return std::isfinite(std::strtod(std::string(first, last).c_str(), nullptr));
  }

  std::string_view text_;
  JsonHandler& handler_;
  std::size_t at_ = 0;
  std::vector<Inside> open_;
  std::string scratch_;
  bool value_wanted_ = true, stopped_ = false;
};

}  // namespace

std::optional<std::size_t> read_json_events(std::string_view text, JsonHandler& handler) {
  return Scanner(text, handler).run();
}

}  // namespace fathom::data
