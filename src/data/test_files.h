// For the tests of this room: a folder that is gone afterwards, and files of every kind made in memory.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include <atomic>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/file.h"

namespace fathom::data {

class TestFolder {
 public:
  TestFolder() {
    static std::atomic<int> made{0};
    path_ =
        fs::temp_directory_path() / ("fathom-data-test-" + std::to_string(::getpid()) + "-" + std::to_string(made++));
    fs::create_directories(path_);
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  ~TestFolder() { fs::remove_all(path_); }

  const fs::path& path() const { return path_; }
  fs::path put(const std::string& name, std::string_view bytes) const {
    const fs::path path = path_ / name;
    fs::create_directories(path.parent_path());
    EXPECT_TRUE(write_file_atomic(path, bytes).has_value());
    return path;
  }

 private:
  fs::path path_;
};

inline std::string gzipped(std::string_view bytes) {
  z_stream z{};
  EXPECT_EQ(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&z, bytes.size()) + 64, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  z.avail_in = static_cast<uInt>(bytes.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

// FATHOM_DATA, else ../shared/data beside the source tree; empty if there is none.
inline fs::path real_data() {
  if (const char* given = std::getenv("FATHOM_DATA")) return given;
  const char* source = std::getenv("FATHOM_SOURCE_DIR");
  const fs::path found = fs::path(source != nullptr ? source : ".") / ".." / "shared" / "data";
  return fs::is_directory(found) ? found : fs::path();
}

template <class R>
std::string message_of(const R& result) {
  return result.has_value() ? "no error" : result.error().message;
}

inline bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace fathom::data

// The expression fails with this code and a message that holds `part`.
#define EXPECT_FAILS(expression, wanted, part)                                                                 \
  do {                                                                                                         \
    const auto fails_ = (expression);                                                                          \
    ASSERT_FALSE(fails_.has_value()) << "expected an error about: " << (part);                                 \
    EXPECT_EQ(fails_.error().code, wanted) << fails_.error().message;                                          \
    EXPECT_TRUE(::fathom::data::holds(fails_.error().message, part)) << "message: " << fails_.error().message; \
  } while (0)
