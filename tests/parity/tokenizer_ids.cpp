// The ids of many texts, for comparison with another tokenizer (tokenizer_reference.py).
//   fathom_tokenizer_ids FOLDER TEXTS OUT MAX_TOKENS single|pair      ids of every text (or of texts 0+1, 2+3, ...)
//   fathom_tokenizer_ids FOLDER TEXTS time ROUNDS                     prints the fastest round in seconds, uncut
// TEXTS: each text as its length (4 bytes, little-endian) and its bytes. OUT: for each input the count and the ids (4
// bytes each), in a pair followed by the types.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "base/file.h"
#include "data/tokenizer.h"

namespace fathom {
namespace {

constexpr std::uint64_t kMaxBytes = 1u << 30;
constexpr int kUncut = 1 << 30;

Result<std::vector<std::string>> read_texts(const char* path) {
  FATHOM_TRY(const std::string bytes, read_file(path, kMaxBytes));
  std::vector<std::string> texts;
  for (std::size_t at = 0; at < bytes.size();) {
    std::uint32_t size = 0;
    if (bytes.size() - at < sizeof(size)) return Error{Code::bad_input, std::string(path) + " is cut short", ""};
    std::memcpy(&size, bytes.data() + at, sizeof(size));
    at += sizeof(size);
    if (bytes.size() - at < size) return Error{Code::bad_input, std::string(path) + " is cut short", ""};
    texts.push_back(bytes.substr(at, size));
    at += size;
  }
  return texts;
}

void put(std::string& out, const std::vector<std::int32_t>& ids) {
  out.append(reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(std::int32_t));
}

std::string all_ids(const data::Tokenizer& tokenizer, const std::vector<std::string>& texts, int max_tokens,
                    bool pair) {
  std::string out;
  std::vector<std::int32_t> ids, types;
  for (std::size_t i = 0; i + (pair ? 1 : 0) < texts.size(); i += pair ? 2 : 1) {
    ids.clear();
    types.clear();
    if (pair)
      tokenizer.encode_pair(texts[i], texts[i + 1], max_tokens, ids, types);
    else
      tokenizer.encode(texts[i], max_tokens, ids);
    put(out, {static_cast<std::int32_t>(ids.size())});
    put(out, ids);
    put(out, types);
  }
  return out;
}

double fastest_round(const data::Tokenizer& tokenizer, const std::vector<std::string>& texts, int rounds) {
  using Clock = std::chrono::steady_clock;
  double best = 1e9;
  std::vector<std::int32_t> ids;
  for (int round = 0; round < rounds; ++round) {
    const auto start = Clock::now();
    for (const std::string& text : texts) {
      ids.clear();
      tokenizer.encode(text, kUncut, ids);
    }
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

Status run(int count, char** words) {
  if (count != 5 && count != 6)
    return Error{Code::usage, "five or six words are needed", "see the top of tokenizer_ids.cpp"};
  const auto start = std::chrono::steady_clock::now();
  FATHOM_TRY(const auto tokenizer, data::Tokenizer::read(words[1]));
  const double loaded = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  FATHOM_TRY(const auto texts, read_texts(words[2]));
  if (count == 6)
    return write_file_atomic(words[3], all_ids(tokenizer, texts, std::atoi(words[4]), std::string(words[5]) == "pair"));
  std::printf("%.6f %.6f\n", fastest_round(tokenizer, texts, std::atoi(words[4])), loaded);
  return {};
}

}  // namespace
}  // namespace fathom

int main(int count, char** words) {
  const auto done = fathom::run(count, words);
  if (done.has_value()) return 0;
  std::fprintf(stderr, "%s\n", done.error().message.c_str());
  return 1;
}
