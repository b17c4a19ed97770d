#include "data/utf8.h"

#include <array>
#include <cstdint>
#include <cstring>

namespace fathom::data {
namespace {

struct Lead {
  int more;            // continuation bytes
  unsigned low, high;  // allowed range of the first continuation byte
  char32_t bits;
};

// Table 3-7 of the Unicode standard: the first continuation byte's range excludes overlong forms and surrogates.
bool read_lead(unsigned byte, Lead& lead) {
  if (byte >= 0xC2 && byte <= 0xDF)
    lead = {1, 0x80, 0xBF, byte & 0x1Fu};
  else if (byte >= 0xE0 && byte <= 0xEF)
    lead = {2, byte == 0xE0 ? 0xA0u : 0x80u, byte == 0xED ? 0x9Fu : 0xBFu, byte & 0x0Fu};
  else if (byte >= 0xF0 && byte <= 0xF4)
    lead = {3, byte == 0xF0 ? 0x90u : 0x80u, byte == 0xF4 ? 0x8Fu : 0xBFu, byte & 0x07u};
  else
    return false;
  return true;
}

char32_t decode(std::string_view text, std::size_t& at, bool& valid) {
  const unsigned first = static_cast<unsigned char>(text[at++]);
  valid = true;
  if (first < 0x80) return first;
  Lead lead{};
  valid = false;
  if (!read_lead(first, lead)) return kReplacement;
  char32_t code = lead.bits;
  for (int i = 0; i < lead.more; ++i) {
    if (at == text.size()) return kReplacement;
    const unsigned byte = static_cast<unsigned char>(text[at]);
    if (byte < (i == 0 ? lead.low : 0x80u) || byte > (i == 0 ? lead.high : 0xBFu)) return kReplacement;
    code = (code << 6) | (byte & 0x3Fu);
    ++at;
  }
  valid = true;
  return code;
}

}  // namespace

char32_t next_code_point(std::string_view text, std::size_t& at) {
  bool valid = true;
  return decode(text, at, valid);
}

std::size_t put_utf8(char32_t code, char* out) {
  const auto byte = [](char32_t value) { return static_cast<char>(static_cast<unsigned char>(value)); };
  const std::size_t size = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  if (size == 1) {
    out[0] = byte(code);
    return size;
  }
  for (std::size_t i = size - 1; i > 0; --i, code >>= 6) out[i] = byte(0x80 | (code & 0x3F));
  constexpr std::array<char32_t, 5> kLead = {0, 0, 0xC0, 0xE0, 0xF0};
  out[0] = byte(kLead[size] | code);
  return size;
}

void append_utf8(char32_t code, std::string& out) {
  std::array<char, 4> bytes;
  out.append(bytes.data(), put_utf8(code, bytes.data()));
}

bool is_utf8(std::string_view text) {
  bool valid = true;
  for (std::size_t at = 0; at < text.size();) {
    std::uint64_t eight = 0;
    for (; at + 8 <= text.size(); at += 8) {  // plain ASCII, the usual case
      std::memcpy(&eight, text.data() + at, 8);
      if ((eight & 0x8080808080808080u) != 0) break;
    }
    if (at == text.size()) break;
    if (static_cast<unsigned char>(text[at]) < 0x80) {
      ++at;
      continue;
    }
    decode(text, at, valid);
    if (!valid) return false;
  }
  return true;
}

std::string repair_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) append_utf8(next_code_point(text, at), out);
  return out;
}

}  // namespace fathom::data
