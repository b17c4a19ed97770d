#include "data/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <limits>

namespace fathom::data {
namespace {

class Inflater {
 public:
  Inflater() { ready_ = inflateInit2(&stream, 15 + 16) == Z_OK; }  // 16: a gzip header is required
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater() {
    if (ready_) inflateEnd(&stream);
  }
  bool ready() const { return ready_; }
  z_stream stream{};

 private:
  bool ready_ = false;
};

Error damaged(const std::string& where, const std::string& what) {
  return {Code::bad_input, where + ": " + what, "the file is incomplete or damaged; copy or download it again"};
}

bool only_zeros(std::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char c) { return c == '\0'; });
}

}  // namespace

Result<std::string> unpack_gzip(std::string_view packed, const std::string& where, std::uint64_t max_bytes) {
  // A bomb may not grow without bound: text, pictures and labels stay far below this.
  max_bytes = std::min<std::uint64_t>(max_bytes, std::max<std::uint64_t>(kFreeGrowth, packed.size() * kMaxGrowth));
  Inflater inflater;
  if (!inflater.ready()) return Error{Code::out_of_memory, where + ": no memory to unpack gzip", ""};
  z_stream& z = inflater.stream;
  std::string out;
  std::size_t fed = 0;
  std::string chunk(1 << 18, '\0');
  for (;;) {
    if (z.avail_in == 0 && fed < packed.size()) {
      const std::size_t n = std::min<std::size_t>(packed.size() - fed, 1u << 30);
      z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data() + fed));
      z.avail_in = static_cast<uInt>(n);
      fed += n;
    }
    z.next_out = reinterpret_cast<Bytef*>(chunk.data());
    z.avail_out = static_cast<uInt>(chunk.size());
    const int code = inflate(&z, Z_NO_FLUSH);
    const std::size_t made = chunk.size() - z.avail_out;
    if (out.size() + made > max_bytes)
      return Error{Code::limit, where + ": unpacks to more than " + std::to_string(max_bytes) + " bytes",
                   "where it is no bomb, unpack it (gunzip) or split it"};
    out.append(chunk, 0, made);
    if (code == Z_STREAM_END) {
      const std::size_t left = packed.size() - fed + z.avail_in;
      if (only_zeros(packed.substr(packed.size() - left))) return out;
      if (inflateReset(&z) != Z_OK) return Error{Code::internal, where + ": cannot restart zlib", ""};
      continue;  // another gzip member follows
    }
    if (code == Z_BUF_ERROR || (code == Z_OK && z.avail_in == 0 && fed == packed.size() && made == 0))
      return damaged(where, "gzip ends early, after " + std::to_string(out.size()) + " unpacked bytes");
    if (code != Z_OK) return damaged(where, std::string("not valid gzip") + (z.msg ? std::string(": ") + z.msg : ""));
  }
}

Result<std::string> read_data_file(const fs::path& path, std::uint64_t max_bytes) {
  FATHOM_TRY(std::string bytes, read_file(path, max_bytes));
  const std::string where = "'" + path.string() + "'";
  if (bytes.empty()) return Error{Code::bad_input, where + ": the file is empty", "give a file with data"};
  if (path.extension() != ".gz" && path.extension() != ".GZ") return bytes;
  FATHOM_TRY(std::string unpacked, unpack_gzip(bytes, where, max_bytes));
  if (unpacked.empty()) return Error{Code::bad_input, where + ": unpacks to nothing", "give a file with data"};
  return unpacked;
}

}  // namespace fathom::data
